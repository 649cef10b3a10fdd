# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A study of the toy's images, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader_study.toy import write_design, write_images

from mededit_monai.reader_study.make import make_study


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The folder of a study, whose images lie beside it."""
    root = tmp_path_factory.mktemp("toy")
    make_study(write_design(root), root / "study", images=write_images(root / "images"), seed=5)
    return root / "study"

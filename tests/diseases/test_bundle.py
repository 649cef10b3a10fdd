# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which disease a bundle is about; an unknown one is refused."""

from __future__ import annotations

import json
import re

import pytest

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.paths import bundle_root
from mededit_monai.diseases.bundle import bundle_disease


def test_a_bundle_says_its_disease():
    assert [bundle_disease(bundle_root(name)) for name in ("stroke", "tumor")] == ["stroke", "tumor"]


@pytest.mark.parametrize(
    "metadata, words",
    [
        (None, "metadata.json: not found; give the bundle's folder with --bundle_root"),
        ({"disease": "flu"}, "'disease' is 'flu', wanted one of stroke, tumor"),
        ({"disease": ["stroke"]}, "'disease' is ['stroke'], wanted one of stroke, tumor"),
        ({}, "'disease' is None, wanted one of stroke, tumor"),
    ],
)
def test_an_unknown_disease_is_refused(tmp_path, capsys, metadata, words):
    if metadata is not None:
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match=re.escape(words)), raising_bad_input():
        bundle_disease(tmp_path)
    with pytest.raises(SystemExit):  # in a bundle run: the sentence and exit code 2, whatever MONAI wraps around it
        bundle_disease(tmp_path)
    assert words in capsys.readouterr().err

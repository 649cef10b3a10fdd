# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root


def test_bundles_by_name_and_folder():
    assert bundle_root("stroke").name == "stroke" and bundle_root(bundle_root("tumor")) == bundle_root("tumor")
    with pytest.raises(
        InputError, match="'strok' is neither a known bundle .semantic_synthesis, stroke, tumor. nor a bundle's folder"
    ):
        bundle_root("strok")

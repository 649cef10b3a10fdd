# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.paths import bundle_disease, bundle_root


def test_a_bundle_says_its_disease():
    assert [bundle_disease(bundle_root(name)) for name in ("stroke", "tumor")] == ["stroke", "tumor"]
    assert bundle_root(bundle_root("tumor")) == bundle_root("tumor")


def test_unknown_bundles_and_diseases(tmp_path, capsys):
    with pytest.raises(InputError, match="'strok' is neither a known bundle .stroke, tumor. nor a bundle's folder"):
        bundle_root("strok")
    with raising_bad_input_as("metadata.json: not found; give the bundle's folder with --bundle_root"):
        bundle_disease(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"disease": "flu"}))
    with raising_bad_input_as("'disease' is 'flu', wanted one of stroke, tumor"):
        bundle_disease(tmp_path)
    with pytest.raises(SystemExit):  # in a bundle run: the sentence and exit code 2, whatever MONAI wraps around it
        bundle_disease(tmp_path)
    assert "'disease' is 'flu'" in capsys.readouterr().err


def raising_bad_input_as(words: str):
    from contextlib import ExitStack

    stack = ExitStack()
    stack.enter_context(pytest.raises(InputError, match=words))
    stack.enter_context(raising_bad_input())
    return stack

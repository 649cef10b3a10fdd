# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which masks are synthesized from: one, a whole datalist, or one of its lists."""

from __future__ import annotations

import pytest
from synthesis.heads import write_heads

from mededit_monai.core.errors import InputError
from mededit_monai.synthesis.cases import synthesis_cases
from mededit_monai.synthesis.options import SynthesisOptions


@pytest.mark.parametrize(
    "split, wanted", [(None, ["training_0", "training_1", "validation_0"]), ("validation", ["validation_0"])]
)
def test_lists_of_a_datalist(tmp_path, split, wanted):
    datalist = write_heads(tmp_path, 16, (2, 1))
    for where in ({"datalist": str(datalist)}, {"dataset_dir": str(tmp_path)}):
        options = SynthesisOptions.of({**where, "split": split, "output_dir": str(tmp_path / "out")})
        assert [case["case_id"] for case in synthesis_cases(options, {})] == wanted


@pytest.mark.parametrize(
    "given, words",
    [
        ({"datalist": "datalist.json", "split": "test"}, r"no cases under 'test' \(found: training, validation\)"),
        ({"mask": "training_0_label.nii.gz", "split": "testing"}, "--split: got 'testing' without a datalist"),
        ({"datalist": "datalist.json", "mask": "seg.nii.gz"}, "--mask: was given together with a datalist"),
        ({}, "--mask: is missing"),
    ],
)
def test_what_cannot_be_chosen(tmp_path, monkeypatch, given, words):
    write_heads(tmp_path, 16, (2, 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        synthesis_cases(SynthesisOptions.of({**given, "output_dir": "out"}), {})

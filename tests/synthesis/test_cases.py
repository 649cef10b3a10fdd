# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which masks are synthesized from: one, a whole datalist, or one of its lists."""

from __future__ import annotations

import json

import pytest
from synthesis.heads import write_heads

from mededit_monai.core.errors import InputError
from mededit_monai.io.case_names import owner_of
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.provenance import write_provenance
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


def test_another_mask_of_the_same_name_is_refused(tmp_path):
    write_heads(tmp_path, 16, (2, 1))
    masks, lists, out = [], [], tmp_path / "out"
    for name in ("a", "b"):
        masks.append(tmp_path / f"training_{len(masks)}_label.nii.gz")
        lists.append(tmp_path / f"{name}.json")
        lists[-1].write_text(json.dumps([{"case_id": "one", "label": str(masks[-1])}]))
    first, second = (SynthesisOptions.of({"datalist": str(one), "output_dir": str(out)}) for one in lists)
    (case,) = synthesis_cases(first, {"steps": 1})
    with finished_folder(out / "one", scan=owner_of(masks[0])) as folder:
        write_provenance(folder, case["request"], {"files": case["files"]})
    kept = (out / "one" / "provenance.json").read_bytes()
    with pytest.raises(InputError, match="out/one: holds the result of another mask, .*training_1_label.*--overwrite"):
        synthesis_cases(second, {"steps": 1})
    assert (out / "one" / "provenance.json").read_bytes() == kept
    assert synthesis_cases(first, {"steps": 1}).done == ["one"]  # its own: done, or made again with other options
    assert [one["case_id"] for one in synthesis_cases(first, {"steps": 2})] == ["one"]
    replaced = SynthesisOptions.of({"datalist": str(lists[1]), "output_dir": str(out), "overwrite": True})
    assert [one["case_id"] for one in synthesis_cases(replaced, {"steps": 1})] == ["one"]

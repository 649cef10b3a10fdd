# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesions in words in place of masks, in an edit and in its list of cases."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from lesions.ball import box_mask
from promises.verbs import mededit  # noqa: F401

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import editing_cases
from mededit_monai.lesions import masks
from mededit_monai.prepare.load import LoadCased

NONE = dict.fromkeys(("scan", "pathology", "brain", "datalist", "dataset_dir", "region", "shard"))
OPTIONS = {"seed": 7, "disease": "stroke", "condition": "mask"}
WORDS = "irregular 36 -10 10 14"


@pytest.fixture()
def head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_head(tmp_path / "head")


def cases(**given) -> list[dict]:
    return editing_cases(**{**NONE, "output_dir": "out", "options": OPTIONS, **given})


def listed(*names: str, lesion: str = WORDS) -> list[dict]:
    return [{"case_id": name, "scan": "head/scan.nii.gz", "lesion": lesion} for name in names]


@pytest.mark.slow
def test_a_cases_lesion_is_its_own_in_any_order_and_shard(head):
    one = {case["case_id"]: LoadCased()(case) for case in cases(datalist=listed("a", "b"))}
    other = {case["case_id"]: LoadCased()(case) for case in cases(datalist=listed("c", "a"), shard="2/2")}
    assert set(other) == {"a"}
    for name, case in other.items():
        assert np.array_equal(case["pathology"], one[name]["pathology"])
    masks = [case["pathology"] for case in one.values()]
    assert not np.array_equal(*masks)
    assert all(case["lesion_facts"]["source"] == "irregular" for case in one.values())
    (again,) = editing_cases(**{**NONE, "datalist": listed("a"), "output_dir": "out", "options": OPTIONS | {"seed": 8}})
    assert not np.array_equal(LoadCased()(again)["pathology"], one["a"]["pathology"])


def test_a_tumours_regions_come_with_the_words(head):
    (case,) = cases(scan="head/scan.nii.gz", lesion="sphere 36 -10 10 16", options=OPTIONS | {"disease": "tumor"})
    found = LoadCased(labels=True, condition="regions")(case)
    assert set(np.unique(found["regions"])) == {0, 1, 2, 3}
    assert np.array_equal(found["regions"] > 0, found["pathology"])


def test_a_mask_beside_the_list(head, tmp_path):
    box_mask(tmp_path / "data" / "masks" / "box.nii.gz", (36, -10, 10), 20)
    listing = [{"case_id": "a", "scan": "../head/scan.nii.gz", "lesion": "mask masks/box.nii.gz native"}]
    Path("data/cases.json").write_text(json.dumps(listing))
    (case,) = cases(datalist="data/cases.json")
    assert case["files"]["lesion"] == str(tmp_path / "data/masks/box.nii.gz") and "lesion" in case["request"]["inputs"]
    found = LoadCased()(case)
    points = np.argwhere(found["pathology"]) @ found["scan"].affine[:3, :3].T + found["scan"].affine[:3, 3]
    assert np.abs(points.mean(axis=0) - [36, -10, 10]).max() < 1
    Path("data/masks/box.nii.gz").unlink()
    with pytest.raises(InputError, match=r"box.nii.gz: not found \(--lesion, case 'a'\)"):
        cases(datalist="data/cases.json")


def test_another_folder_of_masks_is_another_request(head, tmp_path):
    box_mask(tmp_path / "masks" / "a.nii.gz", (36, -10, 10), 20)
    (first,) = cases(datalist=listed("a", lesion="random masks"))
    box_mask(tmp_path / "masks" / "b.nii.gz", (36, -10, 10), 20)
    (second,) = cases(datalist=listed("a", lesion="random masks"))
    assert first["request"]["lesion"]["folder"] == second["request"]["lesion"]["folder"] == str(tmp_path / "masks")
    assert first["request"] != second["request"]


def test_a_mask_changed_in_its_place_is_another_request(head, tmp_path):
    """Of the same size, and of the same time: only its bytes tell."""
    mask = box_mask(tmp_path / "masks" / "a.nii", (36, -10, 10), 20)
    times, size = mask.stat().st_mtime_ns, mask.stat().st_size
    requests = [cases(datalist=listed("a", lesion="random masks"))[0]["request"] for _ in range(2)]
    assert requests[0] == requests[1]
    box_mask(mask, (30, -16, 16), 20)
    assert mask.stat().st_size == size
    requests.append(cases(datalist=listed("a", lesion="random masks"))[0]["request"])
    assert requests[2] != requests[0]
    masks._digest.cache_clear()  # as in a new process
    os.utime(mask, ns=(times, times))
    assert cases(datalist=listed("a", lesion="random masks"))[0]["request"] == requests[2]


def test_the_facts_of_a_mask_are_those_of_its_bytes_now(tmp_path):
    mask = box_mask(tmp_path / "a.nii", (36, -10, 10), 20)
    right = masks.mask_facts(mask)
    box_mask(mask, (-36, -10, 10), 20)
    os.utime(mask, ns=(1, 1))
    assert (right.side, masks.mask_facts(mask).side) == ("right", "left")


@pytest.mark.parametrize(
    "given, said",
    [
        ({"scan": "head/scan.nii.gz"}, "--pathology: is missing; give a NIfTI file, --lesion to say where it is to be"),
        (
            {"scan": "head/scan.nii.gz", "pathology": "head/pathology.nii.gz", "lesion": WORDS},
            "--lesion: got 'irregular 36 -10 10 14' together with --pathology head/pathology.nii.gz; give one",
        ),
        (
            {"datalist": listed("a"), "lesion": WORDS},
            "--lesion: goes with --scan; in a datalist every case says its own",
        ),
        ({"datalist": [{**listed("a")[0], "pathology": "head/pathology.nii.gz"}]}, r"together with .* \(case 'a'\)"),
        ({"datalist": [{"case_id": "a", "scan": "head/scan.nii.gz"}]}, r"case 'a' has no 'pathology' \(or 'lesion'\)"),
        ({"datalist": listed("a", lesion="MCA lefft")}, "'lefft' in 'MCA lefft' is not understood"),
        ({"datalist": [{**listed("a")[0], "lesion": 3}]}, "--lesion: got 3, wanted words"),
    ],
)
def test_what_is_refused(head, given, said):
    with pytest.raises(InputError, match=said):
        cases(**given)


def test_a_list_keeps_going_past_words_that_are_not_understood(head):
    found = cases(datalist=[*listed("a", lesion="MCA lefft"), *listed("b")], keep_going=True)
    assert "not understood" in found[0]["failed"] and "failed" not in found[1]


@pytest.mark.slow
def test_the_mask_that_was_used_lies_beside_the_edit(head, mededit):  # noqa: F811
    few = ("--scan", head.scan, "--method", "sdedit", "--steps", "2", "--slice_index", "10")
    assert mededit("edit", *few, "--lesion", WORDS, "-o", "words").code == 0
    out = Path("words/scan")
    facts = json.loads((out / "provenance.json").read_bytes())
    image = nib.load(out / "pathology.nii.gz")
    made = facts["lesion_made"]
    assert facts["lesion"]["centre"] == [36, -10, 10] and made["voxels"] == int((np.asarray(image.dataobj) > 0).sum())
    assert np.array_equal(image.affine, head.image.affine) and image.get_data_dtype() == np.uint8
    assert mededit("edit", *few, "--pathology", out / "pathology.nii.gz", "-o", "mask").code == 0
    assert Path("mask/scan/edited.nii.gz").read_bytes() == (out / "edited.nii.gz").read_bytes()
    assert not Path("mask/scan/pathology.nii.gz").exists()
    again = mededit("edit", *few, "--lesion", "irregular 36 -10 10  14", "-o", "words")
    assert again.out.startswith("nothing to do") and again.code == 0
    assert mededit("edit", *few, "--lesion", "MCA lefft", "-o", "words").refused("'lefft'", "did you mean 'left'?")

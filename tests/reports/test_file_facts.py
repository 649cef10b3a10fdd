# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What `mededit info FILE` sees, in files made so that it is known."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from conftest import head_array, write_head
from promises.verbs import mededit  # noqa: F401

from mededit_monai.core.errors import InputError
from mededit_monai.io.finished import finished_folder
from mededit_monai.prepare import extract
from mededit_monai.reports.file_facts import file_facts


def saved(place, array, affine=None, **forms) -> str:
    image = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    for name, (form, code) in forms.items():
        getattr(image, f"set_{name}")(form, code)
    nib.save(image, place)
    return str(place)


def test_a_stripped_scan_with_slope_turned_by_ten_degrees(tmp_path):
    head = write_head(tmp_path, "LIA", np.uint8, slope=4.0, inter=-8.0, rotation=10)
    facts = file_facts(head.scan, "stroke")
    header, values, edit = facts["header"], facts["values"], facts["edit"]
    assert header["format"] == "NIfTI-1, gzip" and header["bytes"] == head.scan.stat().st_size
    assert header["shape"] == [80, 20, 100] and header["voxel_mm"] == pytest.approx([2, 4, 2], abs=1e-4)
    assert header["orientation"] == "LIA" and header["oblique_degrees"] == pytest.approx(10, abs=0.01)
    assert (header["data_type"], header["slope"], header["intercept"]) == ("uint8", 4.0, -8.0)
    assert (header["sform_code"], header["qform_code"], header["forms_agree"]) == (2, 1, True)
    assert header["left_handed"] is True  # L x I points backwards, A forwards
    data = head.image.get_fdata()
    assert values["lowest"] == data.min() == 0 and values["highest"] == pytest.approx(data.max())
    assert values["percentiles"]["98"] == pytest.approx(np.percentile(data, 98)) and values["nan_or_infinite"] == 0
    assert values["kind"] == "skull-stripped scan" and values["background"] == pytest.approx((data == 0).mean())
    brain = head_array()[1]
    assert edit["brain_ml"] == pytest.approx(brain.sum() * 16 / 1000, abs=0.02) and "refused" not in edit
    assert edit["window_mm"] == 233 and edit["model_pixel_mm"] == 233 / 128
    reached = np.flatnonzero(brain.any(axis=(0, 1)))
    assert (edit["first_axial_slice"], edit["last_axial_slice"]) == (reached[0], reached[-1])
    assert file_facts(head.scan, "tumor")["edit"]["window_mm"] == 200


def test_where_the_window_lies(tmp_path):
    """The brain's box is centred on the grid, whose middle is (-80 + 79, -100 + 99) mm; voxels of 2 mm round it."""
    edit = file_facts(write_head(tmp_path).scan, "stroke")["edit"]
    assert edit["window_centre_mm"] == pytest.approx([-1, -1], abs=1.0)


@pytest.mark.parametrize("disease, usable", [("stroke", False), ("tumor", True)])
def test_a_map_of_labels(tmp_path, disease, usable):
    labels = np.zeros((6, 7, 8), np.int16)
    labels[1:3, 2:4, 3:6] = 2
    labels[1, 2, 3] = 1
    facts = file_facts(saved(tmp_path / "a.nii", labels, np.diag([1, 2, 3, 1])), disease)
    assert facts["values"]["kind"] == "label map" and facts["values"]["labels"] == [0, 1, 2]
    if not usable:
        assert "is not a binary mask: found 3 values" in facts["edit"]["refused"]
        return
    assert facts["edit"]["voxels"] == 12 and facts["edit"]["volume_ml"] == 12 * 6 / 1000
    assert (facts["edit"]["first_axial_slice"], facts["edit"]["last_axial_slice"]) == (3, 5)


def test_a_whole_head_is_one_whose_brain_a_network_finds(tmp_path, monkeypatch):
    shape = (90, 90, 90)
    found = np.zeros(shape, bool)
    found[30:70, 20:80, 25:75] = True
    monkeypatch.setattr(extract, "extracted_brain", lambda scan: found)
    noise = np.random.default_rng(0).uniform(1, 900, shape).astype(np.float32)
    edit = file_facts(saved(tmp_path / "a.nii.gz", noise, np.diag([2, 2, 2, 1])), "stroke")["edit"]
    assert (edit["brain_source"], edit["prepared"], edit["brain_ml"]) == ("network", True, 40 * 60 * 50 * 8 / 1000)


def test_a_whole_head_without_a_brain_would_be_refused(tmp_path, monkeypatch):
    def nothing(scan):
        raise InputError("no brain was found in it; give a brain mask with --brain FILE.")

    monkeypatch.setattr(extract, "extracted_brain", nothing)
    shape = (90, 90, 90)
    noise = np.random.default_rng(0).uniform(1, 900, shape).astype(np.float32)
    noise[:20] = 0
    facts = file_facts(saved(tmp_path / "a.nii.gz", noise, np.diag([2, 2, 2, 1])), "stroke")
    assert facts["values"]["kind"] == "whole head" and "--brain FILE" in facts["edit"]["refused"]


def test_another_format(tmp_path):
    head = write_head(tmp_path)
    image = nib.MGHImage(head.image.get_fdata().astype(np.float32), head.image.affine)
    nib.save(image, tmp_path / "a.mgz")
    facts = file_facts(tmp_path / "a.mgz", "stroke")
    assert "NIfTI" not in facts["header"]["format"] and facts["header"]["format"].endswith(", gzip")
    assert facts["header"]["bytes"] == (tmp_path / "a.mgz").stat().st_size
    assert facts["values"] == file_facts(head.scan, "stroke")["values"]


def test_what_cannot_be_edited_is_described_all_the_same(tmp_path):
    data = np.ones((4, 5, 6), np.float32)
    data[0, 0, :3] = np.nan
    data[1, 1, 1] = np.inf
    data[2] = 3
    facts = file_facts(saved(tmp_path / "a.nii.gz", data), "stroke")
    assert facts["values"]["nan_or_infinite"] == 4 and facts["values"]["highest"] == 3
    assert "holds 4 NaN or infinite voxels" in facts["edit"]["refused"]
    several = file_facts(saved(tmp_path / "b.nii.gz", np.ones((4, 5, 6, 2), np.int16)), "stroke")
    assert several["header"]["shape"] == [4, 5, 6, 2] and "has 4 dimensions" in several["edit"]["refused"]
    json.dumps([facts, several], allow_nan=False)


@pytest.mark.parametrize("shift, agree", [(0.0, True), (0.5, False)])
def test_two_affines(tmp_path, shift, agree):
    other = np.eye(4)
    other[0, 3] = shift
    place = saved(
        tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4), sform=(np.eye(4), 1), qform=(other, 3)
    )
    header = file_facts(place, "stroke")["header"]
    assert (header["sform_code"], header["qform_code"], header["forms_agree"]) == (1, 3, agree)


def test_a_result(tmp_path):
    facts = {
        "synthetic": True,
        "options": {"method": "morph", "seed": 3, "weights_sha256": "ab", "effects_sha256": None},
        "warnings": ["one"],
        "nfe": 11,
    }
    with finished_folder(tmp_path / "case") as folder:
        (folder / "provenance.json").write_text(json.dumps(facts))
        (folder / "effects.json").write_text('{"largest_displacement_mm": 1.5}')
    found = file_facts(tmp_path / "case", "stroke")["result"]
    assert (found["method"], found["seed"], found["nfe"], found["synthetic"]) == ("morph", 3, 11, True)
    assert found["networks_sha256"] == {"weights": "ab", "effects": None} and found["warnings"] == ["one"]
    assert found["largest_displacement_mm"] == 1.5 and found["complete"] is True
    (tmp_path / "case" / "effects.json").unlink()
    assert file_facts(tmp_path / "case" / "provenance.json", "stroke")["result"]["complete"] is False


@pytest.mark.parametrize(
    "name, words", [("none", "not found"), ("folder", "holds no provenance.json"), ("text", "no NIfTI")]
)
def test_what_is_neither(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello" * 100)
    with pytest.raises(InputError, match=words):
        file_facts(tmp_path / name, "stroke")


def test_of_several_volumes_the_one_that_is_asked_for(tmp_path, mededit):  # noqa: F811
    head = write_head(tmp_path)
    data = np.asarray(head.image.dataobj)
    both = saved(tmp_path / "both.nii.gz", np.stack([data // 2, data], axis=-1), head.image.affine)
    alone, chosen = file_facts(head.scan, "stroke"), json.loads(mededit("info", both, "--echo", 1, "--json").out)
    assert chosen["values"] == alone["values"] and chosen["edit"]["brain_ml"] == alone["edit"]["brain_ml"]
    assert chosen["header"]["shape"] == [80, 100, 20, 2] and "number 1 (from 0)" in chosen["edit"]["warnings"][0]
    assert file_facts(both, "stroke", 0)["values"]["highest"] == data.max() // 2
    assert "choose one with --echo" in file_facts(both, "stroke")["edit"]["refused"]
    assert mededit("info", both, "--echo", 2).refused("--echo: got 2")
    assert mededit("info", head.scan, "--echo", 0).refused("--echo: got 0", "holds one volume")
    assert mededit("info", "--echo", 0).refused("--echo: got 0 without a FILE")
    assert mededit("info", tmp_path, "--echo", 0).refused("is the result of an edit, and no image")


def test_the_verb_says_the_same_to_readers_and_programs(tmp_path, mededit):  # noqa: F811
    head = write_head(tmp_path)
    done = mededit("info", head.scan, "--json")
    assert done.code == 0 and json.loads(done.out) == file_facts(head.scan, "stroke")
    text = mededit("info", head.scan, "--bundle", "tumor").out
    assert "  orientation: RAS\n" in text and "  kind: skull-stripped scan\n" in text and "  window mm: 200\n" in text
    assert mededit("info", tmp_path / "none.nii").refused("none.nii: not found")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Scan → model → scan over orientations, voxel sizes, oblique affines and stored integer types."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from conftest import Head, write_head
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mededit_monai.io.nifti import NativeCopy
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.restore import restore_slices
from mededit_monai.space.slices import AxialSlicesd

KINDS = [
    {},
    {"axcodes": "LIA"},
    {"axcodes": "PSR"},
    {"axcodes": "LAS", "spacing": (1.0, 1.3, 5.0), "shape": (150, 150, 16)},
    {"axcodes": "SPL", "rotation": 12.0},
    {"dtype": np.uint8, "slope": 13.895, "axcodes": "PSR"},  # the nasty one: uint8 with a slope, as from IXI
    {"dtype": np.int16, "slope": 0.37, "inter": -21.5},
    {"dtype": np.float32, "rotation": 7.0},
    {"dtype": np.float64},
    {"dtype": ">i2"},
]


def prepared(head: Head, **settings) -> dict:
    case = LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology), "brain": str(head.brain)})
    return AxialSlicesd(**{"dilation": 9, **settings})(case)


def restored(head: Head, case: dict, change: float, mode: str = "residual") -> tuple[NativeCopy, np.ndarray]:
    """Write back the model slices, darkened by ``change`` inside the region."""
    prior, region = (case[k][:, 0].numpy() for k in ("image", "region"))
    edit = np.where(region > 0, np.clip(prior - change, 0, 1), prior)
    copy = NativeCopy(head.scan)
    arguments = (case["brain_volume"], case["grid"], case["slices"], case["ceilings"], prior, edit, region > 0, mode)
    return copy, restore_slices(copy, *arguments).region


def stored(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("slice_index", ["auto", "all"])
def test_an_unedited_round_trip_changes_nothing(tmp_path, kind, slice_index):
    head = write_head(tmp_path / "in", **kind)
    copy, _ = restored(head, prepared(head, slice_index=slice_index), change=0.0)
    copy.save(tmp_path / "out.nii.gz")
    before, after = (bytearray(gzip.decompress(p.read_bytes())) for p in (head.scan, tmp_path / "out.nii.gz"))
    note = slice(148, 228)  # the description field, where the copy says that it is synthetic
    assert b"synthetic" in after[note]
    before[note] = after[note] = b""
    assert before == after


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["residual", "replace"])
def test_stored_values_are_kept_outside_the_region(tmp_path, kind, mode):
    head = write_head(tmp_path / "in", **kind)
    case = prepared(head)
    copy, region = restored(head, case, change=0.4, mode=mode)
    copy.save(tmp_path / "out.nii.gz")
    new, old = nib.load(tmp_path / "out.nii.gz"), nib.load(head.scan)
    changed = stored(tmp_path / "out.nii.gz") != stored(head.scan)
    assert changed.any() and not changed[~NativeCopy.to_native(region, case["scan"])].any()
    assert new.get_data_dtype() == old.get_data_dtype()
    assert (new.dataobj.slope, new.dataobj.inter) == (old.dataobj.slope, old.dataobj.inter)
    for field in ("qform_code", "sform_code"):
        assert new.header[field] == old.header[field]
    assert np.array_equal(new.get_qform(), old.get_qform()) and np.array_equal(new.get_sform(), old.get_sform())
    inside = changed & nib.load(head.pathology).get_fdata().astype(bool)
    drop = (old.get_fdata() - new.get_fdata())[inside].mean() / case["ceilings"][0]
    assert drop == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("axcodes", ["LIA", "PSR", "ASL"])
@pytest.mark.parametrize("rotation", [0.0, 15.0])
def test_edit_and_reorientation_commute(tmp_path, axcodes, rotation):
    results = []
    for codes in ("RAS", axcodes):
        head = write_head(tmp_path / codes, codes, rotation=rotation)
        copy, _ = restored(head, prepared(head), change=0.3)
        copy.save(tmp_path / codes / "out.nii.gz")
        results.append(nib.load(tmp_path / codes / "out.nii.gz"))
    turn = ornt_transform(io_orientation(results[0].affine), axcodes2ornt(axcodes))
    reoriented = results[0].as_reoriented(turn)
    assert np.array_equal(np.asarray(reoriented.dataobj), np.asarray(results[1].dataobj))
    assert np.allclose(reoriented.affine, results[1].affine)


def test_saturation_is_reported(tmp_path):
    head = write_head(tmp_path / "in", dtype=np.uint8, slope=3.6)
    case = prepared(head)
    copy = NativeCopy(head.scan)
    prior, region = (case[k][:, 0].numpy() for k in ("image", "region"))
    edit = np.where(region > 0, 3.0, prior)
    arguments = (case["brain_volume"], case["grid"], case["slices"], case["ceilings"], prior, edit, region > 0)
    (warning,) = restore_slices(copy, *arguments).warnings
    assert "saturated" in warning
    copy.save(tmp_path / "out.nii.gz")
    assert stored(tmp_path / "out.nii.gz").max() == 255


def test_native_sharpness_survives_small_changes(tmp_path):
    """A faint change keeps the native texture; a large one brings the model's."""
    head = write_head(tmp_path / "in", dtype=np.float32)
    case = prepared(head)
    old = NativeCopy(head.scan).plane(case["slices"][0])
    for change, kept in ((0.05, True), (0.5, False)):
        copy, region = restored(head, case, change=change)
        inside = region[:, :, case["slices"][0]]
        detail = [
            np.diff(plane, axis=0)[inside[1:] & inside[:-1]].std() for plane in (old, copy.plane(case["slices"][0]))
        ]
        assert (detail[1] > 0.9 * detail[0]) == kept


def test_all_slices_of_the_dilated_lesion(tmp_path):
    head = write_head(tmp_path / "in")
    lesion = np.flatnonzero(nib.load(head.pathology).get_fdata().any(axis=(0, 1)))
    case = prepared(head, slice_index="all", dilation=13)
    # 13 model pixels are 23.7 mm; half of that reaches two 4 mm slices beyond on either side (the tip of the taper)
    assert case["slices"] == list(range(lesion[0] - 2, lesion[-1] + 3))
    assert case["region"].any(dim=-1).any(dim=-1).all()
    assert case["image"].shape == (len(case["slices"]), 1, 128, 128)


def test_model_slice_of_a_2d_case(tmp_path):
    """Slice index, intensity ceiling and masks of the model's input."""
    head = write_head(tmp_path / "in")
    case = prepared(head)
    assert 0.99 <= float(case["image"].max()) <= 1.0 and float(case["image"].min()) == 0.0
    assert not case["image"][case["brain"] == 0].any()
    assert (case["pathology"] <= case["region"]).all() and (case["region"] <= case["brain"]).all()
    area_mm2 = nib.load(head.pathology).get_fdata()[:, :, case["slices"][0]].sum() * 4
    assert float(case["pathology"].sum()) * case["grid"].pixel_mm ** 2 == pytest.approx(area_mm2, rel=0.05)

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
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import NativeCopy
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.restore import Restored, restore
from mededit_monai.space.to_model import ToModelSpaced

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

#: One slice, all of them, the volume.
WAYS = [{"slice_index": "auto"}, {"slice_index": "all"}, {"spatial_dims": 3}]


def prepared(head: Head, **settings) -> dict:
    case = LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology), "brain": str(head.brain)})
    slices = {"slice_index": "auto"} if settings.get("spatial_dims") != 3 else {"depth": 60}
    return ToModelSpaced(**{"dilation": 9, **slices, **settings})(case)


def written(case: dict, edit: np.ndarray, mode: str = "residual") -> tuple[NativeCopy, Restored]:
    """Write model slices, or a model volume, into a copy of the scan."""
    copy = NativeCopy(case["scan"])
    prior, region = (case[key][:, 0].numpy() for key in ("image", "region"))
    arguments = (case["brain_volume"], case["space"], case["ceilings"], prior, edit, region > 0, mode)
    return copy, restore(copy, *arguments)


def restored(case: dict, change: float, mode: str = "residual") -> tuple[NativeCopy, np.ndarray]:
    """Write back what the model saw, darkened by ``change`` inside the region."""
    prior, region = (case[key][:, 0].numpy() for key in ("image", "region"))
    copy, found = written(case, np.where(region > 0, np.clip(prior - change, 0, 1), prior), mode)
    return copy, found.region


def stored(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("settings", WAYS, ids=str)
def test_an_unedited_round_trip_changes_nothing(tmp_path, kind, settings):
    head = write_head(tmp_path / "in", **kind)
    copy, _ = restored(prepared(head, **settings), change=0.0)
    copy.save(tmp_path / "out.nii.gz")
    before, after = (bytearray(gzip.decompress(p.read_bytes())) for p in (head.scan, tmp_path / "out.nii.gz"))
    note = slice(148, 228)  # the description field, where the copy says that it is synthetic
    assert b"synthetic" in after[note]
    before[note] = after[note] = b""
    assert before == after


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["residual", "replace"])
@pytest.mark.parametrize("settings", [WAYS[0], WAYS[2]], ids=str)
def test_stored_values_are_kept_outside_the_region(tmp_path, kind, mode, settings):
    head = write_head(tmp_path / "in", **kind)
    case = prepared(head, **settings)
    copy, region = restored(case, change=0.4, mode=mode)
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


@pytest.mark.one_in(4)
@pytest.mark.parametrize("axcodes", ["LIA", "PSR", "ASL"])
@pytest.mark.parametrize("rotation", [0.0, 15.0])
@pytest.mark.parametrize("settings", [WAYS[0], WAYS[2]], ids=str)
def test_edit_and_reorientation_commute(tmp_path, axcodes, rotation, settings):
    results = []
    for codes in ("RAS", axcodes):
        head = write_head(tmp_path / codes, codes, rotation=rotation)
        copy, _ = restored(prepared(head, **settings), change=0.3)
        copy.save(tmp_path / codes / "out.nii.gz")
        results.append(nib.load(tmp_path / codes / "out.nii.gz"))
    turn = ornt_transform(io_orientation(results[0].affine), axcodes2ornt(axcodes))
    reoriented = results[0].as_reoriented(turn)
    assert np.array_equal(np.asarray(reoriented.dataobj), np.asarray(results[1].dataobj))
    assert np.allclose(reoriented.affine, results[1].affine)


def test_saturation_is_reported(tmp_path):
    head = write_head(tmp_path / "in", dtype=np.uint8, slope=3.6)
    case = prepared(head)
    copy, found = written(case, np.where(case["region"][:, 0].numpy() > 0, 3.0, case["image"][:, 0].numpy()))
    (warning,) = found.warnings
    assert "saturated" in warning
    copy.save(tmp_path / "out.nii.gz")
    assert stored(tmp_path / "out.nii.gz").max() == 255


def test_native_sharpness_survives_small_changes(tmp_path):
    """A faint change keeps the native texture; a large one brings the model's."""
    head = write_head(tmp_path / "in", dtype=np.float32)
    case = prepared(head)
    part = np.s_[:, :, case["slices"][0]]
    old = NativeCopy(case["scan"]).values(part)
    for change, kept in ((0.05, True), (0.5, False)):
        copy, region = restored(case, change=change)
        inside = region[part]
        detail = [np.diff(plane, axis=0)[inside[1:] & inside[:-1]].std() for plane in (old, copy.values(part))]
        assert (detail[1] > 0.9 * detail[0]) == kept


def test_all_slices_of_the_dilated_lesion(tmp_path):
    head = write_head(tmp_path / "in")
    lesion = np.flatnonzero(nib.load(head.pathology).get_fdata().any(axis=(0, 1)))
    case = prepared(head, slice_index="all", dilation=13)
    # 13 model pixels are 23.7 mm; half of that reaches two 4 mm slices beyond on either side (the tip of the taper)
    assert case["slices"] == list(range(lesion[0] - 2, lesion[-1] + 3))
    assert case["region"].any(dim=-1).any(dim=-1).all()
    assert case["image"].shape == (len(case["slices"]), 1, 128, 128)


@pytest.mark.parametrize("region", ["brain", "pathology", "dilate"])
def test_slices_between_two_pieces_of_a_lesion_stay(tmp_path, region):
    """Pieces in slices 2 and 8 to 17, 4 mm apart: each is edited as if it were alone, and nothing lies between them."""
    alone = []
    for place, kept in (("low", [2]), ("high", range(8, 18)), ("both", [2, *range(8, 18)])):
        head = write_head(tmp_path / place, dtype=np.float32, shape=(80, 100, 20))
        mask = np.zeros((80, 100, 20), np.uint8)
        mask[36:44, 48:56, list(kept)] = 1
        nib.save(nib.Nifti1Image(mask, nib.load(head.scan).affine), head.pathology)
        case = prepared(head, slice_index="all", region=region, dilation=6)  # 11 mm: half of it reaches a slice beyond
        copy, where = restored(case, change=0.2)
        alone.append((case["slices"], where, copy.values(np.s_[:, :, :])))
        assert case["region"].any(dim=-1).any(dim=-1).all() and len(case["ceilings"]) == case["space"].rows
    (low, one, first), (high, other, second), (slices, both, edited) = alone
    beyond = 1 if region == "dilate" else 0
    assert slices == low + high and low == list(range(2 - beyond, 3 + beyond)) and high[0] == 8 - beyond
    assert np.array_equal(both, one | other)
    before = NativeCopy(case["scan"]).values(np.s_[:, :, :])
    assert np.flatnonzero((edited != before).any(axis=(0, 1))).tolist() == slices
    assert np.array_equal(edited, np.where(one, first, second))


def test_model_slice_of_a_2d_case(tmp_path):
    """Slice index, intensity ceiling and masks of the model's input."""
    head = write_head(tmp_path / "in")
    case = prepared(head)
    assert 0.99 <= float(case["image"].max()) <= 1.0 and float(case["image"].min()) == 0.0
    assert not case["image"][case["brain"] == 0].any()
    assert (case["pathology"] <= case["region"]).all() and (case["region"] <= case["brain"]).all()
    area_mm2 = nib.load(head.pathology).get_fdata()[:, :, case["slices"][0]].sum() * 4
    assert float(case["pathology"].sum()) * case["space"].pixel_mm ** 2 == pytest.approx(area_mm2, rel=0.05)


# --- volumes ---------------------------------------------------------------------------------------------------------


def test_a_volume_is_one_row(tmp_path):
    """Image, masks and condition of a volume; the lesion and its region are where they are in the scan."""
    head = write_head(tmp_path / "in", "PSR", rotation=9.0)
    case = prepared(head, spatial_dims=3)
    for key in ("image", "brain", "pathology", "condition", "region"):
        assert case[key].shape == (1, 1, 128, 128, 60), key
    assert 0.99 <= float(case["image"].max()) <= 1.0 and not case["image"][case["brain"] == 0].any()
    assert (case["pathology"] <= case["region"]).all() and (case["region"] <= case["brain"]).all()
    volume = nib.load(head.pathology).get_fdata().sum() * 16  # of a lesion with flat ends: 8 or 9 model planes
    assert float(case["pathology"].sum()) * case["space"].pixel_mm ** 3 == pytest.approx(volume, rel=0.1)
    middle = np.argwhere(nib.load(head.pathology).get_fdata()).mean(axis=0)
    found = case["space"].points_to_world(np.argwhere(case["pathology"][0, 0].numpy()).mean(axis=0))
    assert found == pytest.approx(nib.affines.apply_affine(nib.load(head.pathology).affine, middle), abs=0.5)
    assert len(case["ceilings"]) == 1 and case["lesion_share"] == 1.0


def test_the_region_of_a_volume_is_the_dilated_lesion(tmp_path):
    """A cube of 9 model voxels around every voxel of the lesion, inside the brain; as many slices as it reaches."""
    case = prepared(write_head(tmp_path / "in"), spatial_dims=3)
    lesion, brain = (case[key][0, 0].numpy() > 0 for key in ("pathology", "brain"))
    wanted = ndimage.binary_dilation(lesion, np.ones((9, 9, 9))) & brain
    assert np.array_equal(case["region"][0, 0].numpy() > 0, wanted)
    heights = case["space"].heights[wanted.any(axis=(0, 1))]
    step = case["space"].heights[1] - case["space"].heights[0]
    low, high = int(np.ceil(heights[0] - step + 1e-9)), int(np.floor(heights[-1] + step - 1e-9))
    assert case["slices"] == list(range(low, high + 1))


def test_a_slice_of_a_volume_is_refused():
    with pytest.raises(InputError, match="--slice_index: got 'auto', but --spatial_dims 3 edits the whole volume"):
        ToModelSpaced("auto", spatial_dims=3)


@pytest.mark.parametrize("kind", ["one slice", "no third axis"])
def test_a_single_slice_is_no_volume(tmp_path, kind):
    """One sentence says how it is edited; as a slice it is."""
    head = write_head(tmp_path / "in", shape=(80, 100, 1))
    for place in (head.scan, head.pathology):
        image = nib.load(place)
        array = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image(array if kind == "one slice" else array[..., 0], image.affine), place)
    case = LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology)})
    with pytest.raises(
        InputError, match=r"scan.nii.gz: is a single slice \(80x100x1\).*--spatial_dims 2 or --slice_in"
    ):
        ToModelSpaced(spatial_dims=3)(case)
    assert ToModelSpaced(spatial_dims=2)(case)["slices"] == [0]


def test_all_slices_are_the_default(tmp_path):
    head = write_head(tmp_path / "in")
    case = LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology)})
    assert ToModelSpaced(dilation=9)(case)["slices"] == prepared(head, slice_index="all")["slices"]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing is guessed in silence: what cannot be is refused in a sentence, what may be meant is done with a warning."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import binary_mask, read_volume, require_same_grid, whole_values
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.prepare.load import LoadCased
from mededit_monai.prepare.one_by_one import OneByOne
from mededit_monai.prepare.plausible import brain_warnings
from mededit_monai.space.to_model import ToModelSpaced


def load(head, brain: bool = False, **other) -> dict:
    files = {"scan": head.scan, "pathology": head.pathology, "brain": head.brain if brain else None}
    return LoadCased(**other)({key: None if path is None else str(path) for key, path in files.items()})


def change(path, function, dtype=None) -> None:
    """Put other voxels into a file of the same header."""
    image = nib.load(path)
    data = np.asarray(image.dataobj)
    new = np.asarray(function(data)).astype(dtype or data.dtype)
    header = image.header.copy()
    header.set_data_dtype(new.dtype)
    nib.save(nib.Nifti1Image(new, None, header), path)


def change_bytes(path, function) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    function(content)
    path.write_bytes(gzip.compress(bytes(content)))


def test_an_ordinary_case_has_no_warning(head):
    assert load(head)["warnings"] == [] and load(head, brain=True)["warnings"] == []


# --- refused ---------------------------------------------------------------------------------------------------------


def inverted_lesion(head):
    change(head.pathology, lambda p: 1 - p)


def brain_for_lesion(head):
    head.pathology.write_bytes(head.brain.read_bytes())


def elsewhere(head):
    def moved(p):
        away = np.zeros_like(p)
        away[:6, :6] = 1
        away[np.nonzero(p)[0][0], np.nonzero(p)[1][0], np.nonzero(p)[2][0]] = 1
        return away

    change(head.pathology, moved)


def head_for_brain(head):
    change(head.brain, lambda b: np.ones_like(b))


def z_scored(head):
    def scored(data):
        inside = data[data != 0]
        return np.where(data != 0, (data - inside.mean()) / inside.std(), 0)

    change(head.scan, scored, np.float32)


def shifted_down(head):
    change(head.scan, lambda d: np.where(d != 0, d.astype(float) - 650, 0), np.float32)


@pytest.mark.parametrize(
    "spoil, brain, words",
    [
        (inverted_lesion, False, ("pathology", "of the brain, far too much for a lesion", "inverted")),
        (brain_for_lesion, False, ("pathology", "not the brain mask")),
        (elsewhere, False, ("pathology", "mostly outside the brain")),
        (head_for_brain, True, ("brain.nii.gz", "far too large for a brain")),
        (z_scored, False, ("scan", "negative", "z-scored")),
        (z_scored, True, ("scan", "negative", "z-scored")),
        (shifted_down, False, ("scan", "negative")),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, spoil, brain, words):
    head = write_head(tmp_path / "head", shape=(100, 120, 30))
    spoil(head)
    with pytest.raises(InputError) as caught:
        load(head, brain)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# --- warned of -------------------------------------------------------------------------------------------------------


def shifted_up(head):
    change(head.scan, lambda d: np.where(d != 0, d + 2000, 0))


def a_little_negative(head):
    def holes(data):
        data = data.astype(np.float32)
        rows = np.argwhere(data > 0)
        data[tuple(rows[:: len(rows) // (len(rows) // 20)].T)] = -5
        return data

    change(head.scan, holes, np.float32)


def noise_for_lesion(head):
    rng = np.random.default_rng(0)
    change(head.pathology, lambda p: rng.random(p.shape) < 0.08)


def half_the_brain(head):
    change(
        head.pathology, lambda p: np.asarray(nib.load(head.brain).dataobj) * (np.arange(p.shape[0]) > 39)[:, None, None]
    )


def partly_outside(head):
    change(head.pathology, lambda p: np.roll(p, 14, 0) | p)


def a_piece_for_the_brain(head):
    change(head.brain, lambda b: b * (np.arange(b.shape[0]) > 55)[:, None, None])


def no_codes(head):
    def codes(content):
        struct.pack_into("<hh", content, 252, 0, 0)

    for path in (head.scan, head.pathology):
        change_bytes(path, codes)


@pytest.mark.parametrize(
    "spoil, brain, word",
    [
        (shifted_up, False, "does not seem to begin at 0"),
        (a_little_negative, False, "these voxels count as 0"),
        (noise_for_lesion, False, "separate pieces"),
        (half_the_brain, False, "of the brain; check the mask"),
        (partly_outside, False, "lies outside the brain and was cut off"),
        (a_piece_for_the_brain, True, "the brain mask has"),
        (no_codes, False, "left and right are a guess"),
    ],
)
def test_what_may_be_meant_is_done_with_a_warning(tmp_path, spoil, brain, word):
    head = write_head(tmp_path / "head")
    spoil(head)
    case = load(head, brain)
    assert any(word in warning for warning in case["warnings"]), case["warnings"]
    strict = OneByOne(LoadCased(), strict=True)
    files = {"scan": str(head.scan), "pathology": str(head.pathology), "brain": str(head.brain) if brain else None}
    with pytest.raises(InputError, match="--strict"):
        strict(files)


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sform_and_qform_that_mirror_each_other(head, axis):
    image = nib.load(head.scan)
    mirrored = image.affine.copy()
    mirrored[:, axis] *= -1
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    image.set_sform(image.affine, 1)
    image.set_qform(mirrored, 1)
    nib.save(image, head.scan)
    with pytest.raises(InputError, match="mirror images, so left and right are unknown"):
        load(head)


def test_a_qform_that_is_turned_is_said(head):
    image = nib.load(head.scan)
    turned = image.affine @ np.diag([-1, -1, 1, 1])
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    image.set_sform(image.affine, 1)
    image.set_qform(turned, 1)
    nib.save(image, head.scan)
    assert any("its sform says RAS, its qform LPS; the sform was used" in w for w in load(head)["warnings"])


@pytest.mark.parametrize("unit, name", [(1, "meter"), (3, "micron"), (7, "an unknown unit")])
def test_lengths_in_another_unit(head, unit, name):
    change_bytes(head.scan, lambda content: content.__setitem__(123, unit))
    with pytest.raises(InputError, match=f"scan.nii.gz: gives its lengths in {name} .*wanted mm"):
        load(head)


def test_no_unit_is_mm(head):
    change_bytes(head.scan, lambda content: content.__setitem__(123, 0))
    assert load(head)["warnings"] == []


@pytest.mark.parametrize("file", ["scan", "brain", "pathology"])
def test_one_flipped_bit_of_any_input(head, file):
    path = getattr(head, file)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=f"{file}.nii.gz: is truncated or damaged"):
        load(head, brain=True)


# --- grids and values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axcodes", ["LPS", "SAR"])
def test_a_grid_may_be_stored_in_another_order(head, axcodes):
    image = nib.load(head.pathology)
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(axcodes))
    before = load(head)
    nib.save(image.as_reoriented(turn), head.pathology)
    after = load(head)
    assert np.array_equal(before["pathology"], after["pathology"]) and before["warnings"] == after["warnings"]


@pytest.mark.parametrize(
    "apart, outcome", [(0, "same"), (9e-4, "same"), (5e-3, "warned"), (0.05, "refused"), (5, "refused")]
)
@pytest.mark.parametrize("how", ["shift", "scale", "rotation"])
def test_grids_that_are_a_hair_apart(head, apart, outcome, how):
    """``apart`` is the distance of the corner farthest off, in mm; voxels have 2 x 2 x 4 mm."""
    scan = read_volume(head.scan)
    affine, far = scan.native_affine.copy(), np.array(scan.native_shape) - 1
    if how == "shift":
        affine[0, 3] += apart
    elif how == "scale":
        affine[0, 0] += apart / far[0]
    else:
        affine[1, 0] += apart / far[0]
    image = nib.load(head.pathology)
    nib.save(nib.Nifti2Image(np.asarray(image.dataobj), affine), head.pathology)  # double precision
    mask = read_volume(head.pathology)
    if outcome == "refused":
        with pytest.raises(InputError, match="lies on another grid") as caught:
            require_same_grid(mask, scan)
        assert f"{apart:.4g} mm apart" in str(caught.value) and " against " in str(caught.value)
        row = {"shift": "[0, 3]", "scale": "[0, 0]", "rotation": "[1, 0]"}[how]
        assert row in str(caught.value)  # where they differ, to as many digits as it takes
    else:
        assert (require_same_grid(mask, scan) is not None) == (outcome == "warned")


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("top", [1, 255])
def test_masks_in_any_number_type(head, dtype, top):
    if top > np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else False:
        pytest.skip("the type cannot hold it")
    wanted = np.asarray(nib.load(head.pathology).dataobj) > 0
    nib.save(nib.Nifti1Image((wanted * top).astype(dtype), nib.load(head.scan).affine, dtype=dtype), head.pathology)
    assert np.array_equal(binary_mask(read_volume(head.pathology)), wanted)


@pytest.mark.parametrize(
    "low, high", [(0, 0.9999999), (0, 1.0000004), (0, 0.9995), (1e-4, 1), (-5e-4, 1), (0, 254.9995)]
)
def test_values_that_are_almost_whole(head, low, high):
    wanted = np.asarray(nib.load(head.pathology).dataobj) > 0
    image = nib.Nifti1Image(np.where(wanted, high, low).astype(np.float32), nib.load(head.scan).affine)
    nib.save(image, head.pathology)
    assert np.array_equal(binary_mask(read_volume(head.pathology)), wanted)


@pytest.mark.parametrize("value, shown", [(0.99, "0.99"), (1.002, "1.002"), (0.5, "0.5"), (254.9, "254.9"), (2, "2")])
def test_values_that_are_not_are_shown_to_the_digit_that_tells(head, value, shown):
    change(head.pathology, lambda p: p * value, np.float32)
    with pytest.raises(InputError, match=rf"found 2 values \({shown}.*, 0\), wanted"):
        binary_mask(read_volume(head.pathology))


def test_eight_bits_with_a_slope(head):
    """255 with a slope of 0.00392157 is 1.0000004."""
    change(head.pathology, lambda p: p * 255)
    change_bytes(head.pathology, lambda content: struct.pack_into("<ff", content, 112, 0.00392157, 0.0))
    volume = read_volume(head.pathology)
    assert volume.data.max() != 1 and whole_values(volume).max() == 1 and binary_mask(volume).any()


# --- slices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index, warned", [("auto", True), ("all", False), (10, False)])
def test_one_slice_of_a_large_lesion_is_said(head, index, warned):
    case = ToModelSpaced(index)(load(head))
    said = [w for w in case["warnings"] if "--slice_index all" in w]
    assert bool(said) == warned and 0 < case["lesion_share"] <= 1
    if warned:
        share = case["lesion_share"]
        assert said == [
            f"only slice {case['slices'][0]} was edited: 1 of the 4 slices of the lesion, {share:.1%} of its voxels; "
            f"--slice_index all edits every slice."
        ]


def test_one_slice_that_is_the_lesion_is_not(head):
    change(head.pathology, lambda p: p * (np.arange(p.shape[2]) == 10))
    assert ToModelSpaced("auto")(load(head))["warnings"] == []


# --- contrast and voxels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ventricle, warned", [(150, False), (900, True)])
def test_fluid_brighter_than_tissue(tmp_path, ventricle, warned):
    head = write_head(tmp_path / "head", shape=(80, 100, 30))
    change(head.scan, lambda data: np.where((data > 0) & (data < 350), ventricle, data))
    assert any("as in T2-weighted scans" in one for one in load(head)["warnings"]) is warned


def test_the_volume_of_a_sheared_voxel(tmp_path):
    """A ball of 1600 ml whose planes a gantry tilted by 45° shifts: by the product of its sides it had 2263 ml."""
    sheared = np.diag([4.0, 4.0, 4.0, 1.0])
    sheared[1, 2] = 4.0
    inside = np.arange(60**3).reshape(60, 60, 60) < 25000
    image = nib.Nifti1Image(np.where(inside, 700, 0).astype(np.int16), sheared)
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_volume(tmp_path / "scan.nii.gz")
    assert scan.voxel_ml == pytest.approx(0.064) and np.prod(scan.spacing) == pytest.approx(64 * 2**0.5)
    assert brain_warnings(None, scan.data > 0, scan) == []
    whole = np.zeros((60, 60, 60), bool)
    whole.ravel()[:30000] = True  # 1920 ml, 2715 by the product: more than a brain has
    assert brain_warnings(None, whole, scan) == []
    data = np.where(whole, 700, 0).astype(np.int16)
    nib.save(nib.Nifti1Image(data, sheared), tmp_path / "large.nii.gz")
    assert brain_from_background(read_volume(tmp_path / "large.nii.gz")).sum() >= 30000


def test_voxels_that_no_network_knows(tmp_path):
    thick = write_head(tmp_path / "thick", spacing=(2.0, 2.0, 7.0), shape=(80, 100, 12))
    assert any("has voxels of 2 x 2 x 7 mm" in one for one in load(thick)["warnings"])
    assert not any("has voxels of" in one for one in load(write_head(tmp_path / "usual"))["warnings"])


def test_what_nibabel_mends_is_said(tmp_path, capfd):
    head = write_head(tmp_path / "head")
    change_bytes(head.scan, lambda content: content.__setitem__(slice(80, 84), struct.pack("<f", -2.0)))
    assert any("its header is odd" in one and "pixdim" in one for one in load(head)["warnings"])
    assert capfd.readouterr().err == ""

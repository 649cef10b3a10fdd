# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Label maps and other images that go along: by hand-made displacements whose result is counted by hand."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume, read_volume
from mededit_monai.space.carry import Carried, carried_copy, label_sizes, label_warnings, lesion_on, read_carried
from mededit_monai.space.native_flow import NativeFlow

SHAPE = (20, 24, 16)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = (-20, -24, -16)


def saved(path: Path, array: np.ndarray, affine=AFFINE, axcodes="RAS", slope=None) -> Path:
    """An image in any orientation, its stored values given."""
    image = nib.Nifti1Image(np.asarray(array), affine)
    image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(axcodes)))
    if slope:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


def scan(folder: Path) -> Volume:
    values = np.random.default_rng(0).uniform(0, 900, SHAPE)
    return read_volume(saved(folder / "scan.nii.gz", values.astype(np.float32)))


def shift(by, start=(4, 5, 3), size=(8, 9, 7)) -> NativeFlow:
    """All voxels of a box take what lies ``by`` voxels further on."""
    steps = np.ones((3, *size), np.float32) * np.array(by, np.float32)[:, None, None, None]
    return NativeFlow(steps, start, SHAPE, AFFINE)


def box(size=SHAPE, low=(6, 7, 5), high=(10, 12, 8)) -> np.ndarray:
    found = np.zeros(size, np.uint8)
    found[tuple(slice(a, b) for a, b in zip(low, high))] = 1
    return found


# --- what is a label map --------------------------------------------------------------------------------------------


def parcels() -> np.ndarray:
    """120 regions of 4 voxels a side, their numbers far apart."""
    cells = np.arange(5 * 6 * 4).reshape(5, 6, 4) * 37 + 11
    return cells.repeat(4, 0).repeat(4, 1).repeat(4, 2)


@pytest.mark.parametrize(
    "array, labels",
    [
        (box(), True),
        (box() * 255, True),
        (box().astype(np.float32), True),
        (parcels().astype(np.int32), True),
        (parcels().astype(np.float32), True),
        (np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8), False),
        (np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.int16), False),
        (box() * np.float32(0.5), False),
        (parcels() + np.float32(0.3), False),
    ],
)
def test_labels_are_told_from_scans(tmp_path, array, labels):
    assert (Carried(read_volume(saved(tmp_path / "a.nii.gz", array))).coded is not None) == labels


# --- where everything goes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axcodes", ["RAS", "LIA", "PSR"])
def test_whole_steps_take_values_along(tmp_path, axcodes):
    """Labels and values of the box are those 2, 1 and -1 voxels on; others keep their bytes."""
    moved, by = shift((2, 1, -1)), (2, 1, -1)
    for array in (parcels().astype(np.int16), np.random.default_rng(1).uniform(0, 1, SHAPE).astype(np.float32)):
        one = Carried(read_volume(saved(tmp_path / "a.nii.gz", array, axcodes=axcodes)))
        carried_copy(one, moved.on(one.volume.affine, one.shape)).save(tmp_path / "b.nii.gz")
        wanted = array.copy()
        wanted[moved.box] = array[tuple(slice(s.start + k, s.stop + k) for s, k in zip(moved.box, by))]
        new, old = (nib.load(tmp_path / name) for name in ("b.nii.gz", "a.nii.gz"))
        assert nib.aff2axcodes(new.affine) == tuple(axcodes) and np.array_equal(new.affine, old.affine)
        assert new.get_data_dtype() == array.dtype and b"synthetic" in new.header["descrip"].item()
        found = np.asarray(nib.as_closest_canonical(new).dataobj)
        assert (found != array).any() and np.abs(found - wanted).max() < (1e-6 if array.dtype.kind == "f" else 0.5)


def test_labels_are_never_mixed(tmp_path):
    """Between label 0 and 40 lies no label 20: half-way and beyond, nearest neighbours decide."""
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", box() * np.uint8(40))))
    for by, side in ((0.4, 0), (0.6, 1)):
        found = carried_copy(one, shift((by, 0, 0))).values()
        assert set(np.unique(found)) == {0, 40}
        assert np.array_equal(found > 0, box(low=(6 - side, 7, 5), high=(10 - side, 12, 8)) > 0)


def test_maps_are_linear(tmp_path):
    ramp = np.arange(SHAPE[0], dtype=np.float32)[:, None, None] * np.ones(SHAPE, np.float32) + np.float32(0.1)
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", ramp)))
    flow = shift((0.25, 0, 0))
    assert np.abs(carried_copy(one, flow).values()[flow.box] - ramp[flow.box] - 0.25).max() < 1e-5


def test_slope_and_type_stay(tmp_path):
    """Stored bytes with slope 0.37: where nothing moved they are the file's, elsewhere another voxel's."""
    stored = np.random.default_rng(2).integers(0, 4000, SHAPE).astype(np.int16)
    path = saved(tmp_path / "a.nii.gz", stored, slope=(0.37, -21.5))
    one, flow = Carried(read_volume(path)), shift((1, 0, 0))
    carried_copy(one, flow).save(tmp_path / "b.nii.gz")
    new = nib.load(tmp_path / "b.nii.gz")
    assert (new.dataobj.slope, new.dataobj.inter) == pytest.approx((0.37, -21.5))
    before, found = (np.asarray(nib.load(tmp_path / name).dataobj.get_unscaled()) for name in ("a.nii.gz", "b.nii.gz"))
    wanted = before.copy()
    wanted[flow.box] = before[5:13, 5:14, 3:10]
    assert np.array_equal(found, wanted)


def test_a_finer_grid_moves_by_the_same_millimetres(tmp_path):
    """2 voxels of 2 mm are 4 of 1 mm; a grid that begins elsewhere finds the same places."""
    fine = np.diag([1.0, 1.0, 1.0, 1.0])
    fine[:3, 3] = (-16, -20, -14)
    array = np.random.default_rng(3).integers(0, 2, (30, 40, 26)).repeat(1, 0).astype(np.uint8)
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", array, fine)))
    flow = shift((2, 0, 0))
    found = carried_copy(one, flow.on(one.volume.affine, one.shape)).values()
    # the box's middles lie at world -12 … 2, -14 … 2, -10 … 2 mm: voxels 4 … 18, 6 … 22, 4 … 16 of the fine grid
    inner = np.s_[4:19, 6:23, 4:17]
    assert np.array_equal(found[inner], array[8:23, 6:23, 4:17])
    outside = np.ones(array.shape, bool)
    outside[3:20, 5:24, 3:18] = False
    assert np.array_equal(found[outside], array[outside])


# --- the lesion -----------------------------------------------------------------------------------------------------


def test_the_lesion_is_stamped_where_it_is_and_not_displaced(tmp_path):
    lesion = box(low=(5, 6, 4), high=(7, 8, 6)) > 0
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", parcels().astype(np.int32), axcodes="LIA")))
    flow = shift((2, 0, 0)).on(one.volume.affine, one.shape)
    found = carried_copy(one, flow, lesion_on(one, lesion, AFFINE), 99).values()
    assert np.array_equal(found == 99, lesion)
    plain = carried_copy(one, flow, lesion_on(one, lesion, AFFINE)).values()
    assert np.array_equal(found[~lesion], plain[~lesion]) and not (plain == 99).any()


def test_the_lesion_on_a_finer_grid(tmp_path):
    """Every voxel of 2 mm is 8 of 1 mm, at odd and even places."""
    lesion = box(low=(5, 6, 4), high=(8, 8, 6)) > 0
    fine = np.diag([1.0, 1.0, 1.0, 1.0])
    fine[:3, 3] = np.array((-20, -24, -16)) - 0.5
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", np.zeros((40, 48, 32), np.uint8), fine)))
    where, inside = lesion_on(one, lesion, AFFINE)
    found = np.zeros(one.shape, bool)
    found[where] = inside
    assert np.array_equal(found, lesion.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_a_component_between_coarse_planes_keeps_a_voxel(tmp_path):
    """Planes 12 mm apart at every sixth of the scan's: two components lie between them, one lies beside the map."""
    lesion = box(low=(5, 6, 2), high=(8, 9, 4)) | box(low=(12, 14, 8), high=(13, 15, 9)) | box(low=(1, 1, 14))
    lesion[1:10, 1:12, 14:] = 0
    lesion[1:3, 1:3, 15] = 1
    coarse = np.diag([2.0, 2.0, 12.0, 1.0])
    coarse[:3, 3] = (-20, -24, -16 + 2)  # the planes 1 and 7 of the scan
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", np.zeros((20, 24, 2), np.uint8), coarse, "LPS")))
    where, inside = lesion_on(one, lesion > 0, AFFINE)
    found = np.zeros(one.shape, bool)
    found[where] = inside
    assert np.argwhere(found).tolist() == [[6, 7, 0], [12, 14, 1]]


def test_maps_get_no_label(tmp_path):
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", np.random.default_rng(0).uniform(0, 1, SHAPE))))
    lesion = lesion_on(one, box() > 0, AFFINE)
    plain, labelled = (carried_copy(one, shift((1, 0, 0)), lesion, label).values() for label in (None, 99))
    assert np.array_equal(plain, labelled)


# --- volumes --------------------------------------------------------------------------------------------------------

NOWHERE = (slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), bool)


def test_a_part_of_a_voxel_is_a_part_of_a_volume(tmp_path):
    """A cube of 4 x 5 x 3 voxels of 8 µl whose right half is pulled 0.3 voxel to the left: its face takes 0.3 more."""
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", box() * np.uint8(7))))
    flow = shift((-0.3, 0, 0), start=(8, 2, 2), size=(6, 18, 12))
    (size,) = label_sizes(one, flow, NOWHERE).values()
    cube = 60 * 8e-3
    assert size.before == size.before_outside_lesion == pytest.approx(cube)
    assert size.after_outside_lesion == pytest.approx(cube * (4.3 / 4), rel=1e-5)
    written = carried_copy(one, flow).values()
    assert (written == 7).sum() == 60  # nearest neighbours: 0.3 of a voxel is none


def test_what_lies_under_the_lesion_counts_neither_before_nor_after(tmp_path):
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", box() * np.uint8(7))))
    lesion = lesion_on(one, box(low=(6, 7, 5), high=(7, 12, 8)) > 0, AFFINE)  # a slab of 15 voxels of the cube
    (size,) = label_sizes(one, shift((-0.5, 0, 0), start=(8, 2, 2), size=(6, 18, 12)), lesion).values()
    found = (size.before, size.before_outside_lesion, size.after_outside_lesion)
    assert found == pytest.approx(np.array([60, 45, 45 + 7.5]) * 8e-3)


def test_beyond_the_image_lies_its_last_voxel(tmp_path):
    """A slab at the image's end, pulled half a voxel inwards: it grows by that on its inner side, and loses nothing."""
    for low, high, by in (((0, 7, 5), (10, 12, 8), -0.5), ((10, 7, 5), (20, 12, 8), 0.5)):
        one = Carried(read_volume(saved(tmp_path / "a.nii.gz", box(low=low, high=high) * np.uint8(7))))
        (size,) = label_sizes(one, shift((by, 0, 0), start=(0, 2, 2), size=(20, 18, 12)), NOWHERE).values()
        assert size.after_outside_lesion == pytest.approx(size.before * 10.5 / 10)


def test_sizes_are_those_of_maps_carried_one_by_one(tmp_path):
    """Against the plain way: each label as 0 and 1, linearly interpolated, added up."""
    one = Carried(read_volume(saved(tmp_path / "a.nii.gz", parcels().astype(np.int32))))
    steps = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((3, 12, 14, 9)), (0, 2, 2, 2)) * 6
    flow = NativeFlow(steps.astype(np.float32), (3, 4, 3), SHAPE, AFFINE)
    lesion = box() > 0
    found = label_sizes(one, flow, lesion_on(one, lesion, AFFINE))
    assert list(found) == sorted(found) == np.unique(parcels()).tolist()
    points = np.argwhere(flow.moved).T + np.array([[3], [4], [3]])
    places = points + flow.steps[(slice(None), *np.argwhere(flow.moved).T)]
    for label in (11, 11 + 37 * 45, 11 + 37 * 60):
        share = (parcels() == label).astype(np.float32)
        moved = share.copy()
        moved[tuple(points)] = ndimage.map_coordinates(share, places, order=1)
        wanted = np.array([share.sum(), share[~lesion].sum(), moved[~lesion].sum()]) * 8e-3
        sizes = found[label]
        assert (sizes.before, sizes.before_outside_lesion, sizes.after_outside_lesion) == pytest.approx(
            wanted, abs=1e-6
        )


# --- what is refused ------------------------------------------------------------------------------------------------


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder / "seg.nii.gz", box())
    with pytest.raises(InputError, match=r"--carry: .*a/seg.nii.gz and .*b/seg.nii.gz have one name"):
        read_carried([tmp_path / "a" / "seg.nii.gz", tmp_path / "b" / "seg.nii.gz"], scan(tmp_path))


def test_a_file_beside_the_scan_is_refused(tmp_path):
    far = AFFINE.copy()
    far[0, 3] = 300
    with pytest.raises(InputError, match=r"far.nii.gz: lies beside the scan .* register it to the scan first"):
        read_carried([saved(tmp_path / "far.nii.gz", box(), far)], scan(tmp_path))
    near = AFFINE.copy()
    near[0, 3] = 15  # its first voxels are the scan's last
    assert read_carried([saved(tmp_path / "near.nii.gz", box(), near)], scan(tmp_path))


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(InputError, match="has 4 dimensions"):
        read_carried([saved(tmp_path / "four.nii.gz", np.zeros((*SHAPE, 2), np.uint8))], scan(tmp_path))
    with pytest.raises(InputError, match="no.nii.gz: not found"):
        read_carried([tmp_path / "no.nii.gz"], scan(tmp_path))


def test_a_label_that_a_map_has_already_is_told(tmp_path):
    """The file, the label and how many voxels have it; other images and other labels are no matter."""
    noise = saved(tmp_path / "T2.nii.gz", np.random.default_rng(0).uniform(0, 1, SHAPE))
    path = saved(tmp_path / "seg.nii.gz", 3 * box())
    count = int(box().sum())
    carried = read_carried([noise, path], scan(tmp_path), 3)
    (warning,) = label_warnings(carried, 3)
    assert warning.startswith(f"{path}: {count} of its voxels have the label 3 already, which --lesion_label gives")
    assert label_warnings(carried, 4) == label_warnings(carried, None) == []


def test_a_label_for_no_map_or_too_large_is_refused(tmp_path):
    noise = np.random.default_rng(0).uniform(0, 1, SHAPE)
    with pytest.raises(InputError, match=r"--lesion_label: got 99, but none .* is a label map \(map.nii.gz\)"):
        read_carried([saved(tmp_path / "map.nii.gz", noise)], scan(tmp_path), 99)
    path = saved(tmp_path / "seg.nii.gz", box())
    assert read_carried([path], scan(tmp_path), 255)
    with pytest.raises(InputError, match=r"--lesion_label: got 256, which .*seg.nii.gz cannot hold .*would be 255"):
        read_carried([path], scan(tmp_path), 256)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The way from a scan to the model's grid and back, where half a pixel or one voxel is the difference."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head

from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.intensity import intensity_ceiling, to_model_range, to_unit, to_unit_range
from mededit_monai.space.masks import component_boxes, edit_region, tapered_dilation
from mededit_monai.space.model_space import ModelSpace, shrunk, shrunk_mask
from mededit_monai.space.to_model import ToModelSpaced, chosen_slices

#: 16 mm on 8 pixels of 2 mm.
SPACE = ModelSpace(np.eye(4), (1.0, 1.0, 1.0), (3, 5), np.arange(1), 16, 8)


@pytest.mark.parametrize(
    "spacing, window, first",
    [
        (1.0, 8, 11),  # 11 … 18 mm about 14.5
        (1.0, 9, 11),  # 11 … 19 about 15: the half goes up, whichever way the scan is mirrored
        (2.0, 8, 13),  # every half voxel from 13 to 16.5, about 14.75
        (0.5, 8, 8),  # every second voxel from 8 to 22, about 15
    ],
)
def test_the_window_is_centred_on_the_brain(spacing, window, first):
    brain = np.zeros((40, 40, 1), dtype=bool)
    brain[10:20, 10:20] = True  # its middle is at 14.5
    affine = np.diag([spacing, spacing, 1, 1])
    assert ModelSpace.around_brain(brain, affine, window, 4).start == (first, first)


def test_a_model_pixel_is_where_its_two_voxels_are():
    """Pixel k covers the voxels start + 2k and the next; its centre, and its place in the world, lie between them."""
    ras = np.array([[1, 0, 0, -40], [0, 1, 0, -50], [0, 0, 4, -60], [0, 0, 0, 1.0]])
    affine = replace(SPACE, scan_affine=ras).at([7]).affine
    assert (affine @ [0, 0, 0, 1]).tolist() == [-40 + 3.5, -50 + 5.5, -60 + 28, 1]
    assert (affine @ [2, 3, 0, 1]).tolist() == [-40 + 3 + 4.5, -50 + 5 + 6.5, -60 + 28, 1]


def test_a_ramp_comes_back_to_its_place():
    """The model's pixels hold their own place in voxels, so that every voxel gets its own; other sides, other axes."""
    x, y = np.meshgrid(3.5 + 2 * np.arange(8), 5.5 + 2 * np.arange(8), indexing="ij")
    for plane, axis in ((x, 0), (y, 1)):
        native = SPACE.to_native(plane[None], (22, 30, 1))[:, :, 0]
        assert native.shape == (22, 30)
        inside = native[4:18, 6:20]
        places = np.arange(4, 18)[:, None] if axis == 0 else np.arange(6, 20)[None]
        assert inside == pytest.approx(np.broadcast_to(places, inside.shape), abs=1e-5)


def test_there_and_back_keeps_a_ramp_in_place():
    scan = np.add.outer(2.0 * np.arange(22), 5.0 * np.arange(30))
    native = SPACE.to_native(SPACE.to_model(scan[:, :, None]), (*scan.shape, 1))[:, :, 0]
    assert native[6:15, 8:17] == pytest.approx(scan[6:15, 8:17], abs=1e-3)


def test_a_pixel_that_is_covered_by_half_belongs_to_the_mask():
    """The edge runs through the middle of the pixels of row 4; the filter is symmetric, so they are covered by half."""
    plane = np.zeros((16, 16), dtype=np.float32)
    plane[9:] = 1
    assert shrunk(plane, 8)[4, 4] == 0.5
    mask = shrunk_mask(plane, 8)
    assert mask[4:].all() and not mask[:4].any()


def test_scans_finer_than_a_millimetre_are_averaged():
    """Every second voxel of half a millimetre is bright; picking would show bright or dark alone."""
    fine = replace(SPACE, spacing=(0.5, 0.5, 1.0), start=(0, 0))
    scan = np.zeros((32, 32))
    scan[::2] = 1
    found = fine.to_window(scan)[2:-2]
    assert found.min() > 0.15 and found.max() < 0.85


def test_labels_are_not_averaged():
    fine = replace(SPACE, spacing=(0.5, 0.5, 1.0), start=(0, 0))
    scan = np.zeros((32, 32))
    scan[::2] = 1
    assert set(np.unique(fine.to_window(scan, order=0))) == {1.0}


def test_the_percentile_counts_the_background():
    """95 voxels of background and the values 1 to 5: the 98th percentile of 100 values lies at 3.02."""
    plane = np.zeros(100)
    plane[-5:] = (1, 2, 3, 4, 5)
    assert intensity_ceiling(plane.reshape(10, 10), 98) == pytest.approx(3.02)
    assert intensity_ceiling(plane.reshape(10, 10), 50) == 5  # no positive percentile: the brightest
    assert to_unit(np.array([-3.0, 1.5, 6.0]), 3.0).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1.0, 4000.0])
def test_the_ceiling_follows_the_scans_units(scale):
    """A scan may be in [0, 1] or in thousands; a slice with very little brain takes its brightest voxel."""
    plane = np.zeros((10, 10))
    plane[:, 5:] = scale
    assert intensity_ceiling(plane, 98) == pytest.approx(scale)
    plane[:, 5:] = 0
    plane[0, 0] = scale
    assert intensity_ceiling(plane, 98) == pytest.approx(scale)


def test_an_empty_slice_has_a_ceiling_too():
    assert intensity_ceiling(np.zeros((4, 4)), 98) == 1 and intensity_ceiling(np.full((4, 4), -2.0), 98) == 1


def test_the_models_range_is_from_minus_one_to_one():
    for kind in (np.array, torch.tensor):
        unit = kind([0.0, 0.25, 1.0])
        assert to_model_range(unit).tolist() == [-1, -0.5, 1]
        assert to_unit_range(to_model_range(unit)).tolist() == [0, 0.25, 1]


def test_boxes_join_diagonal_neighbours():
    mask = np.zeros((6, 6), dtype=np.uint8)
    mask[1, 1] = mask[3, 2] = mask[2, 1] = 1
    boxes = component_boxes(mask)
    assert boxes.dtype == bool and np.argwhere(boxes).tolist() == [[i, j] for i in (1, 2, 3) for j in (1, 2)]


def test_the_region_stays_in_the_brain():
    lesion, brain = torch.zeros(1, 2, 9, 9), torch.zeros(1, 1, 9, 9)
    lesion[0, 1, 4, 2], brain[..., 2:] = 1, 1
    region = edit_region(lesion, brain, 5)[0, 0]
    assert region.nonzero().tolist() == [[i, j] for i in range(2, 7) for j in range(2, 5)]
    assert edit_region(lesion, brain, 5, within_brain=False).sum() == 25


def test_a_taper_reaches_up_and_down_alike():
    """One voxel in the middle slice; a kernel of 7, two pixels apart: 7, 3 and nothing beyond."""
    stack = np.zeros((7, 15, 15), dtype=bool)
    stack[3, 7, 7] = True
    found = tapered_dilation(stack, 7, 2.0)
    assert found.sum(axis=(1, 2)).tolist() == [0, 0, 9, 49, 9, 0, 0]


def test_all_slices_are_those_that_the_kernel_reaches():
    lesion = np.zeros((4, 4, 20), dtype=bool)
    lesion[2, 2, 8:11] = True
    assert chosen_slices(lesion, "all", 2.0) == [7, 8, 9, 10, 11]  # at two slices' distance nothing is left of it
    assert chosen_slices(lesion, "all", 2.1) == [6, 7, 8, 9, 10, 11, 12]
    assert chosen_slices(lesion, "all", 0.0) == [8, 9, 10] and chosen_slices(lesion, "all", 50.0) == list(range(20))
    lesion[1, 2, 9] = True
    assert chosen_slices(lesion, "auto", 5.0) == [9] and chosen_slices(lesion, 10, 5.0) == [10]


def test_slices_between_the_pieces_of_a_lesion_are_left_out():
    """Pieces in slices 2 to 3 and 12: half a kernel of 3.5 slices reaches three beyond each, 5.5 slices join them."""
    lesion = np.zeros((4, 4, 20), dtype=bool)
    lesion[2, 2, [2, 3, 12]] = True
    assert chosen_slices(lesion, "all", 0.0) == [2, 3, 12]
    assert chosen_slices(lesion, "all", 3.5) == [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15]
    assert chosen_slices(lesion, "all", 5.5) == list(range(18))
    space = SPACE.at([2, 3, 12])
    assert [space.row_of(z) for z in (2, 3, 12)] == [0, 1, 2]
    assert (space.affine @ [0, 0, 1, 1])[2] == 3 * SPACE.spacing[2]


def prepared(head, **settings) -> dict:
    case = LoadCased()({"scan": str(head.scan), "pathology": str(head.pathology), "brain": str(head.brain)})
    return ToModelSpaced(**{"dilation": 9, "slice_index": "auto", **settings})(case)


def change(path, function) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(function(image.get_fdata().astype(np.float32)), image.affine), path)


def test_a_vessel_does_not_shine_into_its_surroundings(tmp_path):
    """Where a voxel is above the ceiling, it does not matter how far: it is cut off before the slice is resized."""
    images = []
    for value in (3_000, 30_000):
        head = write_head(tmp_path / str(value), dtype=np.float32)
        z = prepared(head)["slices"][0]

        def shine(scan, z=z, value=value):
            scan[38:42, 50:54, z] = value
            return scan

        change(head.scan, shine)
        images.append(prepared(head)["image"])
    assert torch.equal(*images)


def test_what_lies_outside_the_brain_does_not_matter(tmp_path):
    """A skull around the brain changes neither the brain's intensities nor their scale, in voxels of a millimetre."""
    fine = {"dtype": np.float32, "spacing": (1.0, 1.0, 8.0), "shape": (150, 180, 8)}
    plain, skull = write_head(tmp_path / "a", **fine), write_head(tmp_path / "b", **fine)
    brain = nib.load(plain.brain).get_fdata() > 0
    change(skull.scan, lambda scan: np.where(brain, scan, 5_000.0))
    before, after = prepared(plain), prepared(skull)
    assert before["ceilings"] == pytest.approx(after["ceilings"], rel=1e-6)
    inner = torch.nn.functional.avg_pool2d(before["brain"], 5, 1, 2) == 1  # the rim is shared with the background
    assert torch.allclose(before["image"][inner], after["image"][inner], atol=1e-6)
    assert not after["image"][after["brain"] == 0].any()

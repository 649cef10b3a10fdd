# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import (
    midline_shift_from_field,
    midline_shift_from_ventricles,
    sulcal_fluid_change,
    tissue_change,
    ventricle_change,
    ventricle_sizes,
)
from mededit_monai.metrics.indirect import brain_midline, lesion_side, surface_band, tissue_means

LEFT, RIGHT = 1, 2


def _spread(dims: int, plane: np.ndarray, depth: int = 3) -> np.ndarray:
    """A slice, or the same slice in every plane of a volume."""
    return plane if dims == 2 else np.repeat(plane[..., None], depth, axis=-1)


def _head(lesion_at: int = 7):
    """10x6: brain in columns 1 … 8 (middle at 4.5), ventricles of 2 and 3 pixels, lesion at a column."""
    brain, lesion, labels = np.zeros((10, 6), bool), np.zeros((10, 6), bool), np.zeros((10, 6), int)
    brain[1:9] = True
    labels[3, 1:3], labels[6, 1:4] = LEFT, RIGHT
    lesion[lesion_at, 4] = True
    return brain, lesion, labels


@pytest.mark.parametrize("dims", [2, 3])
def test_ventricle_change_by_hand(dims):
    brain, lesion, before = _head(lesion_at=7)
    after = before.copy()
    after[6, 4:6] = RIGHT  # the right one grows from 3 to 5, the left shrinks from 2 to 1
    after[3, 1] = 0
    brain, lesion, before, after = (_spread(dims, a) for a in (brain, lesion, before, after))
    unit = 4.0 if dims == 2 else 4.0 * 5.0 * 3  # mm² of a pixel; mm³ of its column of three
    spacing = 2.0 if dims == 2 else (2.0, 2.0, 5.0)
    assert ventricle_sizes(before, spacing) == (2 * unit, 3 * unit)
    found = ventricle_change(before, after, lesion, brain, spacing)
    assert (found.left, found.right, found.total) == (-unit, 2 * unit, unit)
    assert (found.ipsilateral, found.contralateral) == (2 * unit, -unit)
    assert (found.asymmetry_before, found.asymmetry_after) == (pytest.approx(1 / 5), pytest.approx(4 / 6))
    assert found.asymmetry == pytest.approx(4 / 6 - 1 / 5)


def test_the_other_hemisphere_swaps_the_sides():
    brain, lesion, before = _head(lesion_at=2)
    after = before.copy()
    after[6, 4:6] = RIGHT
    found = ventricle_change(before, after, lesion, brain, 1.0)
    assert (found.ipsilateral, found.contralateral) == (0, 2)
    assert (found.asymmetry_before, found.asymmetry_after) == (pytest.approx(-1 / 5), pytest.approx(-3 / 7))
    mirrored = np.array([0, RIGHT, LEFT])
    other = ventricle_change(mirrored[before[::-1]], mirrored[after[::-1]], lesion[::-1], brain[::-1], 1.0)
    assert (other.ipsilateral, other.asymmetry) == (found.ipsilateral, pytest.approx(found.asymmetry))
    assert (other.left, other.right) == (found.right, found.left)


def test_no_change_and_no_ventricle():
    brain, lesion, labels = _head()
    same = ventricle_change(labels, labels, lesion, brain, 1.0)
    assert (same.total, same.ipsilateral, same.asymmetry) == (0, 0, 0)
    none = ventricle_change(0 * labels, 0 * labels, lesion, brain, 1.0)
    assert none.total == 0 and np.isnan(none.asymmetry)


def test_sides():
    brain, lesion, _ = _head(lesion_at=7)
    assert brain_midline(brain) == 4.5
    assert lesion_side(lesion, brain) == (RIGHT, 1.0)
    lesion[1:3, 4] = True
    assert lesion_side(lesion, brain) == (LEFT, pytest.approx(2 / 3))
    bulge = brain.copy()
    bulge[9, 2] = True  # one row reaches farther out
    assert brain_midline(bulge) == 4.5


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("shift", [0.0, 3.0, -2.5])
def test_midline_shift_of_a_translation(dims, shift):
    """The edit at r shows the prior at r + u: content moved by s to the right has u_x = -s."""
    brain = np.zeros((40, 20), bool)
    brain[2:38, 2:18] = True  # middle at 19.5
    brain = _spread(dims, brain)
    field = np.zeros((3, *brain.shape))
    field[0] = -shift
    found = midline_shift_from_field(field, brain, 2.0)
    assert found.largest == pytest.approx(shift) and found.mean == pytest.approx(shift)
    assert found.rows == 16 * (1 if dims == 2 else 3)


def test_midline_shift_of_a_local_push():
    """u_x is -4 mm at the row in the middle and falls to 0 on both sides; along y everything may move freely."""
    brain = np.ones((41, 21), bool)
    weight = np.clip(1 - np.abs(np.arange(21) - 10) / 5, 0, 1)
    field = np.stack([np.broadcast_to(-4.0 * weight, brain.shape), np.full(brain.shape, 7.0)])
    found = midline_shift_from_field(field, brain, 1.0)
    assert found.largest == pytest.approx(4) and found.mean == pytest.approx(4 * weight.mean())
    assert midline_shift_from_field(-field, brain, 1.0).largest == pytest.approx(-4)


def test_midline_shift_solves_where_the_middle_comes_to_lie():
    """x + u(x) = x/2 + 5 meets the middle 20 at x = 30: the shift is 10, not -u(20) = 5."""
    brain = np.ones((41, 3), bool)
    x = np.arange(41.0)[:, None]
    field = np.stack([np.broadcast_to(5 - x / 2, brain.shape), np.zeros(brain.shape)])
    assert midline_shift_from_field(field, brain, 1.0).mean == pytest.approx(10)


@pytest.mark.parametrize("dims", [2, 3])
def test_midline_shift_from_ventricles(dims):
    before = np.zeros((20, 8), int)
    before[5:9, 2:6], before[11:15, 2:6] = LEFT, RIGHT  # they face each other across 9 and 10
    after = np.zeros_like(before)
    after[7:11, 2:5], after[13:17, 2:5] = LEFT, RIGHT  # moved by two pixels to the right, one row shorter
    before, after = _spread(dims, before), _spread(dims, after)
    found = midline_shift_from_ventricles(before, after, 1.5)
    assert (found.largest, found.mean, found.rows) == (3.0, 3.0, 3 if dims == 2 else 9)
    assert midline_shift_from_ventricles(after, before, 1.5).mean == -3
    assert midline_shift_from_ventricles(before, before, 1.5).largest == 0


def test_midline_needs_ventricles_that_face_each_other():
    labels = np.zeros((20, 4), int)
    labels[2, 1], labels[16, 1] = LEFT, RIGHT  # 13 pixels apart
    assert midline_shift_from_ventricles(labels, labels, 1.0).rows == 0
    assert midline_shift_from_ventricles(labels, labels, 1.0, max_gap_mm=13).rows == 1
    assert np.isnan(midline_shift_from_ventricles(labels, 0 * labels, 1.0).mean)


def test_band_under_the_surface():
    brain = np.zeros((9, 9), bool)
    brain[1:8, 1:8] = True
    assert surface_band(brain, 1.0, 1.0).sum() == 24  # the outermost ring of a square of 7
    assert surface_band(brain, 2.0, 4.0).sum() == 24 + 16
    assert surface_band(np.ones((5, 5)), 1.0, 1.0).sum() == 16  # the array's border is a surface too


@pytest.mark.parametrize("dims", [2, 3])
def test_sulcal_fluid_by_hand(dims):
    """Means 0.1 and 0.5: 0.1 and darker is all fluid, 0.3 half, 0.5 and brighter none."""
    brain = np.ones((20, 12), bool)
    lesion = np.zeros_like(brain)
    lesion[17, 6] = True  # right
    prior = np.full(brain.shape, 0.8)
    prior[12, 1], prior[2, 2], prior[10, 6] = 0.0, 0.3, 0.1  # right, left, and one too deep to be a sulcus
    edit = prior.copy()
    edit[13, 1], edit[14, 1], edit[2, 2], edit[11, 6] = 0.1, 0.4, 0.5, 0.1
    edit[16, 6] = 0.0  # beside the lesion
    if dims == 2:
        found = sulcal_fluid_change(prior, edit, lesion, brain, 1.0, (0.1, 0.5, 0.9), depth_mm=3, margin_mm=2)
        assert (found.before, found.after) == (pytest.approx(1.5), pytest.approx(2.25))
        assert (found.change, found.ipsilateral) == (pytest.approx(0.75), pytest.approx(1.25))
        assert found.contralateral == pytest.approx(-0.5)
        return
    planes = [_spread(3, a, 31) for a in (prior, edit, lesion, brain)]
    found = sulcal_fluid_change(*planes, 1.0, (0.1, 0.5, 0.9), depth_mm=3, margin_mm=2)
    # 25 planes keep the deep ones out; in the 3 at either end of the volume they are near the surface too
    assert found.ipsilateral == pytest.approx(31 * 1.25 + 6 * 1.0) and found.contralateral == pytest.approx(-31 * 0.5)


def test_fluid_maps_are_taken_as_they_are():
    brain, lesion = np.ones((10, 10), bool), np.zeros((10, 10), bool)
    lesion[8, 5] = True
    before, after = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    after[1, 1:4] = True
    assert sulcal_fluid_change(before, after, lesion, brain, 2.0, depth_mm=20).contralateral == 12


def test_tissue_means_of_three_levels():
    rng = np.random.default_rng(0)
    image = np.repeat([0.1, 0.5, 0.8], 300).reshape(30, 30) + 0.02 * rng.standard_normal((30, 30))
    assert tissue_means(image, np.ones((30, 30))) == pytest.approx((0.1, 0.5, 0.8), abs=0.01)


EMPTY, FULL = np.zeros((6, 6)), np.ones((6, 6))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ventricle_sizes(3 * FULL, 1.0), r"labels \[3\]; wanted 0, 1 \(left\)"),
        (lambda: lesion_side(EMPTY, FULL), "pathology mask is empty"),
        (lambda: brain_midline(EMPTY), "brain mask is empty"),
        (lambda: ventricle_change(EMPTY, np.zeros((5, 6)), FULL, FULL, 1.0), "the edit's ventricles"),
        (lambda: midline_shift_from_field(np.zeros((1, 6, 6)), FULL, 1.0), "wanted 2 components"),
        (lambda: sulcal_fluid_change(FULL, FULL, FULL, FULL, 1.0, (0.5, 0.2, 0.8)), "wanted fluid < gray"),
        (lambda: tissue_means(FULL, EMPTY), "holds 0 voxels"),
        (lambda: tissue_means(FULL, FULL), "give the means"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dims", [2, 3])
def test_tissue_change_by_hand(dims):
    brain, lesion, _ = _head(lesion_at=7)  # middle at 4.5, the lesion at (7, 4)
    before = np.where(brain, 3, 0)
    before[1], before[8] = 1, 2
    after = before.copy()
    after[7, 4], after[7, 3] = 0, 1  # p and its neighbour do not count
    after[5, 0:2] = 1  # two pixels on the lesion's side: white matter before
    after[1, 0:3] = 2  # three of fluid on the other side: gray matter now
    after[8, 0] = 3
    brain, lesion, before, after = (_spread(dims, a) for a in (brain, lesion, before, after))
    unit = 4.0 if dims == 2 else 4.0 * 5.0 * 3
    found = tissue_change(before, after, lesion, brain, 2.0 if dims == 2 else (2.0, 2.0, 5.0))
    assert (found.fluid_ipsilateral, found.fluid_contralateral, found.fluid) == (2 * unit, -3 * unit, -unit)
    assert (found.gray, found.white) == (2 * unit, -unit)
    close = tissue_change(before, after, lesion, brain, 2.0 if dims == 2 else (2.0, 2.0, 5.0), margin_mm=0)
    assert (close.fluid_ipsilateral, close.white) == (3 * unit, -2 * unit)  # the neighbour counts, p never does
    mirrored = tissue_change(*(a[::-1] for a in (before, after, lesion, brain)), 2.0 if dims == 2 else (2.0, 2.0, 5.0))
    assert mirrored == found
    assert tissue_change(before, before, lesion, brain, 2.0).__dict__ == dict.fromkeys(found.__dict__, 0.0)


def test_tissue_change_says_what_is_wrong():
    brain, lesion, _ = _head()
    tissue = np.where(brain, 2, 0)
    with pytest.raises(ValueError, match=r"holds the labels \[4\]; wanted 0, 1 \(fluid\)"):
        tissue_change(tissue, 2 * tissue, lesion, brain, 1.0)
    with pytest.raises(ValueError, match="the edit's tissue has shape"):
        tissue_change(tissue, tissue[1:], lesion, brain, 1.0)
    with pytest.raises(ValueError, match="it lies on no side"):
        tissue_change(tissue, tissue, 0 * lesion, brain, 1.0)

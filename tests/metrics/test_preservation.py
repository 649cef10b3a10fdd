# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import (
    change_by_distance,
    change_outside,
    edge_gradient,
    psnr_outside,
    ring_mismatch,
    ssim_outside,
    surrounding_ring,
    texture_ratio,
)
from mededit_monai.metrics.preservation import high_frequency_power

IMAGE = np.array([[0.0, 1.0, 5.0], [2.0, 4.0, 9.0]])
EVERYWHERE = np.ones((2, 3))


@pytest.mark.parametrize(
    "region, mean",
    [
        ([[1, 0, 0], [0, 0, 0]], 1.5),  # |0-1|, |0-2|
        ([[1, 1, 0], [0, 0, 0]], 3.0),  # |0-2|, |1-5|, |1-4|
        ([[0, 1, 0], [0, 1, 0]], 3.0),  # |0-1|, |1-5|, |2-4|, |4-9|
        ([[0, 0, 1], [1, 0, 0]], 3.0),  # |0-2|, |2-4|, |1-5|, |5-9|; corners do not touch
    ],
)
def test_mean_step_across_the_edge(region, mean):
    assert edge_gradient(IMAGE, np.array(region), EVERYWHERE) == pytest.approx(mean)
    assert edge_gradient(-3 * IMAGE, 1 - np.array(region), EVERYWHERE) == pytest.approx(3 * mean)  # its other side


def test_pairs_with_one_voxel_outside_the_brain_do_not_count():
    region = np.array([[1, 1, 0], [0, 0, 0]])
    within = np.array([[1, 1, 0], [1, 1, 1]])
    assert edge_gradient(IMAGE, region, within) == pytest.approx(2.5)  # |0-2|, |1-4|, without |1-5|
    assert edge_gradient(IMAGE, region, np.array([[0, 1, 0], [1, 1, 1]])) == pytest.approx(3.0)


def test_in_three_dimensions():
    """A cube of side 2 in a ramp along the third axis: 8 of its 24 faces meet a step of 1."""
    image = np.broadcast_to(np.arange(6.0), (6, 6, 6))
    region = np.zeros((6, 6, 6), bool)
    region[2:4, 2:4, 2:4] = True
    assert edge_gradient(image, region, np.ones_like(region)) == pytest.approx(8 / 24)


def test_a_seam_is_found():
    rng = np.random.default_rng(0)
    image = 0.01 * rng.standard_normal((40, 40))
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    smooth = edge_gradient(image, region, np.ones_like(region))
    assert edge_gradient(image + 0.2 * region, region, np.ones_like(region)) == pytest.approx(0.2, abs=0.01)
    assert smooth == pytest.approx(0.01 * 2 / np.sqrt(np.pi), rel=0.3)  # E|a - b| of two normal numbers


def test_unsigned_integers_do_not_wrap_around():
    image = np.array([[10, 30]], np.uint8)
    assert edge_gradient(image, np.array([[1, 0]]), np.ones((1, 2))) == 20


@pytest.mark.parametrize("region, within", [(0, 1), (1, 1), (None, 0)])
def test_without_an_edge_there_is_no_number(region, within):
    mask = np.array([[1, 0, 0], [0, 0, 0]]) if region is None else np.full((2, 3), region)
    assert np.isnan(edge_gradient(IMAGE, mask, np.full((2, 3), within)))


def test_change_outside_the_region():
    prior = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    edit = prior + [[0.5, 0.0, 0.25], [0.0, -0.125, 0.0]]
    region = np.array([[1, 0, 0], [0, 0, 0]])
    assert change_outside(edit, prior, region) == (pytest.approx(0.25), 2)
    assert change_outside(edit, prior, np.ones((2, 3))) == (0, 0)
    assert change_outside(np.where(region, edit, prior), prior, region) == (0, 0)
    tiny = prior.astype(np.float32)
    tiny[1, 2] = np.nextafter(tiny[1, 2], np.float32(1))  # a single bit is a change
    assert change_outside(tiny, prior.astype(np.float32), region)[1] == 1


def _scene(dims: int, size: int = 24):
    """A noisy brain (all but a margin of 2) with a lesion of side 4 in its middle."""
    rng = np.random.default_rng(0)
    shape = (size,) * dims
    prior, lesion, brain = 0.5 + 0.05 * rng.standard_normal(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    lesion[(slice(10, 14),) * dims] = True
    brain[(slice(2, -2),) * dims] = True
    return prior, lesion, brain


@pytest.mark.parametrize("dims", [2, 3])
def test_psnr_leaves_the_lesion_out(dims):
    prior, lesion, brain = _scene(dims)
    edit = np.where(lesion, 0, prior + 0.1)
    assert psnr_outside(edit, prior, lesion, brain) == pytest.approx(20)  # -10 log10(0.1²)
    assert psnr_outside(np.where(lesion, 0, prior), prior, lesion, brain) == np.inf
    edit = prior.copy()
    edit[(5,) * dims] += 0.5
    count = brain.sum() - lesion.sum()
    assert psnr_outside(edit, prior, lesion, brain) == pytest.approx(-10 * np.log10(0.25 / count))
    assert np.isnan(psnr_outside(edit, prior, brain, brain))


@pytest.mark.parametrize("dims", [2, 3])
def test_ssim_sees_no_window_that_touches_the_lesion(dims):
    prior, lesion, brain = _scene(dims, 32)
    edit = np.where(lesion, 0, prior)
    assert ssim_outside(edit, prior, lesion, brain) == pytest.approx(1, abs=1e-6)
    assert ssim_outside(edit, prior, np.zeros_like(lesion), brain) < 0.999
    board = 0.4 + 0.1 * (-1.0) ** np.indices(prior.shape).sum(axis=0)  # local mean 0.4, shifted by 0.2: same contrast
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert ssim_outside(board + 0.2, board, lesion, brain) == pytest.approx(expected, abs=1e-4)
    assert np.isnan(ssim_outside(edit, prior, brain, brain))


def test_change_by_distance_in_hand_counted_rings():
    """A lesion of one pixel at the end of a strip, 2 mm a pixel: distances 2, 4, 6, 8 mm."""
    prior, brain = np.zeros((5, 1)), np.ones((5, 1))
    edit = np.array([[0.9], [0.4], [-0.2], [0.1], [0.3]])
    lesion = np.array([[1], [0], [0], [0], [0]])
    mean, count = change_by_distance(edit, prior, lesion, brain, 2.0, edges=(0, 4, 7, 20))
    assert count.tolist() == [2, 1, 1, 0]
    assert mean[:3] == pytest.approx([0.3, 0.1, 0.3]) and np.isnan(mean[3])
    mean, count = change_by_distance(edit, prior, lesion, brain, 2.0, edges=(4,))  # 4 mm itself lies below
    assert (mean[0], count[0]) == (pytest.approx(0.2), 2)


@pytest.mark.parametrize("dims", [2, 3])
def test_change_by_distance_takes_each_axis_spacing(dims):
    shape, spacing = (9,) * dims, (1.0, 3.0, 2.0)[:dims]
    lesion = np.zeros(shape)
    lesion[(4,) * dims] = 1
    edit = np.zeros(shape)
    edit[(4, 5, 4)[:dims]] = 1  # 3 mm away
    mean, count = change_by_distance(edit, np.zeros(shape), lesion, np.ones(shape), spacing, edges=(0, 2.9, 3.0))
    assert mean[0] == 0 and mean[1] == pytest.approx(1 / count[1]) and mean[2] == 0


@pytest.mark.parametrize("dims", [2, 3])
def test_ring_and_its_mismatch(dims):
    shape = (11,) * dims
    region, brain, lesion = np.zeros(shape, bool), np.ones(shape, bool), np.zeros(shape, bool)
    region[(slice(4, 7),) * dims] = True
    lesion[(5,) * dims] = True
    ring = surrounding_ring(region, brain, 2.0, width_mm=2.0)  # face neighbours only: 2.83 mm to a diagonal one
    assert ring.sum() == 2 * dims * 3 ** (dims - 1)
    image = np.where(region, 0.7, 0.4)
    image[lesion] = 0.0
    assert ring_mismatch(image, region, lesion, brain, 2.0) == pytest.approx(0.3)
    assert ring_mismatch(np.full(shape, 0.5), region, lesion, brain, 2.0) == pytest.approx(0)
    assert np.isnan(ring_mismatch(image, region, region, brain, 2.0))
    assert np.isnan(ring_mismatch(image, np.zeros(shape), lesion, brain, 2.0))


@pytest.mark.parametrize("dims", [2, 3])
def test_texture_is_a_ratio_of_powers(dims):
    rng = np.random.default_rng(1)
    shape = (48,) * 2 if dims == 2 else (32,) * 3
    half = np.zeros(shape, bool)
    half[: shape[0] // 2] = True
    brain = np.ones(shape, bool)
    noise = rng.standard_normal(shape)
    same = texture_ratio(noise, half, ~half, brain, 1.0)
    assert same == pytest.approx(1, rel=0.12)
    assert texture_ratio(np.where(half, 3 * noise, noise), half, ~half, brain, 1.0) == pytest.approx(9 * same, rel=0.05)
    assert texture_ratio(5 + 0.3 * noise, half, ~half, brain, 1.0) == pytest.approx(same)  # no unit, no offset
    assert np.isnan(texture_ratio(np.zeros(shape), half, ~half, brain, 1.0))  # flat surroundings


def test_the_edge_of_the_brain_is_no_texture():
    brain = np.zeros((30, 30), bool)
    brain[8:22, 8:22] = True
    assert high_frequency_power(0.8 * brain, brain, 1.0).max() < 1e-20


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda a: change_by_distance(a, a, 0 * a, a, 1.0), "pathology mask is empty"),
        (lambda a: change_by_distance(a, a, a, a, 1.0, edges=(3, 2)), "rising numbers"),
        (lambda a: change_by_distance(a, a, a, a, (1.0, 1.0, 1.0)), "spacing is"),
        (lambda a: change_by_distance(a, a, a, a, -1.0), "spacing is"),
        (lambda a: ssim_outside(a, a, a, a), "at least 11 voxels"),
        (lambda a: change_outside(a, a[:2], a), "the edit has shape"),
        (lambda a: change_outside(a * np.nan, a, a), "not finite"),
        (lambda a: surrounding_ring(a, a, 1.0, width_mm=0), "ring's width"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 4)))

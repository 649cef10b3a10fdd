# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes: how large a blob is, what is cut off a lesion, how far its soft edge reaches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.space.fields import gaussian
from mededit_monai.space.shapes import (
    around,
    blob,
    bounding_box,
    depth_in,
    distance_to,
    equivalent_radius,
    soften,
    territory,
    tidy,
    toward,
)


def test_tails_and_threads_go_and_crumbs_stay():
    mask = np.zeros((60, 60), bool)
    mask[10:20, 10:20] = True
    wanted = mask.copy()
    wanted[15, 20:22] = True  # what is within two points of the solid part
    mask[15, 20:40] = True  # tail
    mask[40, 5:55] = True  # thread
    mask[50:52, 50:52] = wanted[50:52, 50:52] = True  # crumb
    mask[50, 2] = True  # crumb at the edge
    inner = np.zeros_like(mask)
    inner[5:-5, 5:-5] = True
    assert np.array_equal(tidy(mask, inner), wanted)
    assert not tidy(np.zeros_like(mask), inner).any()


def test_soft_edge_ends_at_two_and_a_half_sigma():
    mask = np.zeros((41, 41), bool)
    mask[10:31, 10:31] = True
    soft = soften(mask, 0.9)
    assert soft[20, 20] == pytest.approx(1, abs=1e-4) and soft[20, 10] > 0.5 > soft[20, 9] > 0
    assert not soft[:8].any() and soft[8, 20] > 0


@pytest.mark.parametrize("dims", [2, 3])
def test_radius_of_a_ball(dims):
    grid = np.meshgrid(*(np.arange(41) - 20.0,) * dims, indexing="ij")
    ball = sum(g**2 for g in grid) < 15**2
    assert equivalent_radius(ball, 2.0) == pytest.approx(30, rel=0.02)
    assert distance_to(ball, 2.0)[(0,) + (20,) * (dims - 1)] == pytest.approx(2 * 6, abs=1.1)


@pytest.mark.parametrize("dims, points", [(2, round(np.pi * 36 / 1.5**2)), (3, round(4 / 3 * np.pi * 216 / 1.5**3))])
def test_a_blob_has_the_size_of_a_ball_within_what_is_allowed(dims, points):
    allowed = np.ones((40,) * dims, bool)
    allowed[:18] = False
    centre = np.full(dims, 20)
    for compact in (True, False):
        found = blob(allowed, centre, 6.0, 1.5, compact, np.random.default_rng(0))
        assert found.sum() == points and found[tuple(centre)] and not found[:18].any()
    allowed[21:] = False  # too little room: all of it
    assert np.array_equal(blob(allowed, centre, 60.0, 1.5, True, np.random.default_rng(0)), allowed)


def test_a_territory_has_a_ball_s_volume_and_is_more_ragged():
    """At most what is allowed, no holes, and drawn to what is likely."""
    allowed = np.ones((60, 60, 60), bool)
    allowed[:26] = False
    centre, likely = np.full(3, 30), np.zeros(allowed.shape, np.float32)
    likely[:, :30] = 1
    volume, shares, surfaces = 4 / 3 * np.pi * 9**3, [], []
    for seed in range(8):
        found = territory(allowed, centre, 9.0, 1.0, likely, np.random.default_rng(seed))
        assert 0.99 * volume < found.sum() < 1.15 * volume and not found[:26].any()
        assert np.array_equal(ndimage.binary_fill_holes(found) & allowed, found)
        shares.append(found[:, :30].mean() / found.mean() / 0.5)
        ball = blob(allowed, centre, 9.0, 1.0, True, np.random.default_rng(seed))
        surfaces.append([(ndimage.binary_dilation(one) & ~one).sum() for one in (found, ball)])
    rough, smooth = np.mean(surfaces, axis=0)
    assert np.mean(shares) > 1.05 and rough > 1.3 * smooth
    allowed[27:] = False  # too little room: all of it
    assert np.array_equal(territory(allowed, centre, 60.0, 1.0, likely, np.random.default_rng(0)), allowed)


def test_a_box_around_a_mask():
    mask = np.zeros((12, 9), bool)
    mask[3, 4] = mask[5, 8] = True
    assert bounding_box(mask).tolist() == [[3, 5], [4, 8]]
    assert mask[around(mask, 0)].shape == (3, 5) and mask[around(mask, 4)].shape == (10, 9)


@pytest.mark.parametrize("margin", [0, 3])
def test_distances_in_a_volume(margin):
    mask = np.zeros((41, 52, 37), bool)
    mask[10 + margin : 18, 12:20, 5:11], mask[14, 15, 20] = True, True
    exact = ndimage.distance_transform_edt(~mask, sampling=1.5)
    found = distance_to(mask, 1.5)
    near = exact < 9
    assert np.allclose(found[near], exact[near], atol=1e-5) and np.abs(found - exact).max() < 2 * 1.5
    assert np.allclose(depth_in(mask, 1.5), ndimage.distance_transform_edt(mask, sampling=1.5))


def test_direction_into_a_structure_is_the_same_in_a_box():
    mask = np.zeros((60, 60))
    mask[40:44, 10:20] = 1
    slope = np.stack(np.gradient(ndimage.gaussian_filter(mask, 3.0, mode="nearest", truncate=2.5)))
    wanted = slope / np.sqrt((slope**2).sum(axis=0)).max()
    assert np.abs(toward(mask, 3.0) - wanted).max() < 1e-5
    assert not toward(0 * mask, 3.0).any()


@pytest.mark.parametrize("mode", ["wrap", "nearest"])
@pytest.mark.parametrize("sigma", [0.6, 1.0, 3.3])
def test_gaussians_of_volumes_are_scipys(mode, sigma):
    fields = np.random.default_rng(0).standard_normal((2, 21, 30, 17), dtype=np.float32)
    wanted = ndimage.gaussian_filter(fields, (0, sigma, sigma, sigma), mode=mode, truncate=3)
    assert np.abs(gaussian(fields, sigma, mode, 3, 3) - wanted).max() < 1e-6

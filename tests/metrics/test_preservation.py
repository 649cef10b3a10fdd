# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import edge_gradient

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

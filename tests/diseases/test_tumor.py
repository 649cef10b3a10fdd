# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The layout of a tumour of which nothing is known but its mask."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.diseases.tumor import CORE, EDEMA, RIM, divided_tumor


def ball(radius: float, ndim: int = 3, side: int = 48) -> np.ndarray:
    """A disc or ball in the middle of a grid."""
    grid = np.indices((side,) * ndim) - side // 2
    return np.sqrt((grid**2).sum(axis=0)) <= radius


def drawn(mask: np.ndarray, seed: int, spacing: float = 1.5) -> np.ndarray:
    return divided_tumor(mask, spacing, np.random.default_rng(seed))


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_regions_make_up_the_mask(ndim):
    mask = ball(15, ndim) & (np.indices((48,) * ndim)[0] < 30)
    for seed in range(5):
        assert np.array_equal(drawn(mask, seed) > 0, mask)
    assert not drawn(np.zeros_like(mask), 0).any()
    assert np.array_equal(drawn(mask, 3), drawn(mask, 3)) and (drawn(mask, 3) != drawn(mask, 4)).any()


def test_a_single_point_is_a_tumour():
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = True
    assert drawn(mask, 0)[4, 4, 4] == RIM


def test_large_tumours_have_core_and_rim():
    """Of the simulator's tumours 15 % have no core: about 85 % of 60, at least 80 % but for chance (3.2 s.d.)."""
    found = [drawn(ball(14), seed) for seed in range(60)]
    both = np.mean([np.sum(one == CORE) >= 20 and np.sum(one == RIM) >= 20 for one in found])
    assert 0.7 < both < 1
    solid = np.array([np.mean(one[one > 0] != EDEMA) for one in found])
    assert solid.min() > 0.15 and solid.max() < 0.8 and solid.std() > 0.1  # shares of 0.2 to 0.75


def test_the_rim_lies_between_core_and_edema():
    for seed in range(8):
        found = drawn(ball(14), seed)
        core = found == CORE
        if not core.sum() > 50 or not (found == RIM).any():
            continue
        shell = ndimage.binary_dilation(core) & ~core
        assert np.mean(found[shell] == RIM) > 0.6
        solid = ndimage.label(found % 2 == 1)[1]
        assert solid == 1

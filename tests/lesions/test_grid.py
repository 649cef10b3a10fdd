# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mededit_monai.lesions.grid import carried, shaped


def scaled(step: float, first: float = 0.0) -> np.ndarray:
    found = np.diag([step, step, step, 1.0])
    found[:3, 3] = first
    return found


def test_the_same_grid_keeps_the_mask():
    mask = np.random.default_rng(0).random((9, 8, 7)) > 0.7
    assert np.array_equal(carried(mask, np.eye(4), mask.shape), mask)


def test_half_a_voxel_is_enough_and_less_is_not():
    """Voxels twice as wide: their samples are the voxels of the mask."""
    mask = np.zeros((12, 12, 12), bool)
    mask[2:10, 2:10, 2:7] = True  # along z it covers two voxels and half of a third
    found = carried(mask, scaled(2, 0.5), (6, 6, 6))
    assert found[1:5, 1:5, 1:4].all() and found.sum() == 4 * 4 * 3
    mask[:, :, 6] = False
    mask[2:6, 2:10, 6] = True  # now a quarter of some
    assert not carried(mask, scaled(2, 0.5), (6, 6, 6))[3:, :, 3].any()


def test_pieces_are_not_lost_but_those_outside_are():
    mask = np.zeros((24, 24, 24), bool)
    mask[3, 3, 3] = mask[20, 20, 20] = True
    found = carried(mask, scaled(4, 1.5), (4, 4, 4))
    assert np.argwhere(found).tolist() == [[0, 0, 0]]
    assert not carried(mask, scaled(4, 1.5), (4, 4, 4), pieces=False).any()


@pytest.mark.parametrize("step, off", [(1.0, 0.005), (2.0, 0.03)])
def test_a_sphere_has_its_volume_and_centre(step, off):
    centre, radius = np.array([20.3, 19.2, 21.7]), 11.0
    shape = tuple([int(42 / step)] * 3)
    found = np.argwhere(shaped("sphere", centre, np.full(3, radius), scaled(step), shape))
    assert len(found) * step**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=off)
    assert np.abs(found.mean(axis=0) * step - centre).max() < 0.1


def test_axes_are_those_of_the_space():
    """A long box in a space that is turned by 90 degrees: long along the grid's other axis."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()  # grid x is the space's y
    found = np.argwhere(shaped("box", np.array([-15.0, 15, 15]), np.array([4.4, 8.4, 1.4]), turn, (30, 30, 30)))
    assert (np.ptp(found, axis=0) + 1).tolist() == [17, 9, 3] and found.mean(axis=0) == pytest.approx([15, 15, 15])


def test_what_is_smaller_than_a_voxel_is_one():
    for radius in (0.3, 1e-3):
        found = shaped("sphere", np.array([10.2, 5.1, 7.9]), np.full(3, radius), scaled(4), (5, 5, 5))
        assert np.argwhere(found).tolist() == [[3, 1, 2]]
    assert not shaped("sphere", np.array([90.0, 5, 7]), np.ones(3), scaled(4), (5, 5, 5)).any()

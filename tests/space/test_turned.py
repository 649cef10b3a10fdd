# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An array on a box of an upright copy, seen from the scan's voxels: a linear one comes out exactly."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.turned import TurnedGrid

SCAN, UPRIGHT = np.diag([1.0, 1.5, 2.0, 1.0]), np.eye(4)
UPRIGHT[:3, :3] = Rotation.from_euler("xyz", (25, 10, -15), degrees=True).as_matrix()
UPRIGHT[:3, 3] = (-6, 8, 2)
SHAPE = (60, 64, 60)


def grid() -> tuple[FineBox, TurnedGrid]:
    lesion = np.zeros(SHAPE, bool)
    lesion[24:32, 26:36, 20:30] = True
    box = FineBox.around(lesion, np.ones(3), 8.0, 16, 4)
    return box, TurnedGrid(box, SHAPE, np.linalg.inv(UPRIGHT) @ SCAN)


def test_linear():
    box, turned = grid()
    at = [start + step * np.arange(count) for start, step, count in zip(box.start, box.step, box.shape)]
    x, y, z = np.meshgrid(*at, indexing="ij")  # voxels of the upright copy, of 1 mm
    array = (3 + 0.2 * x - 0.1 * y + 0.4 * z)[None].astype(np.float32)
    shape, seen = (50, 44, 40), 0
    for k in turned.reached(array, shape[2]):
        plane = turned.to_native_slice(array, k, shape[:2])
        index = np.stack([*np.indices(shape[:2]).reshape(2, -1), np.full(shape[0] * shape[1], k)])
        places = (turned.to_upright[:3, :3] @ index + turned.to_upright[:3, 3:]).reshape(3, *shape[:2])
        ends = [(axis[0] + 1, axis[-1] - 1) for axis in at]
        inside = np.all([(p > low) & (p < high) for p, (low, high) in zip(places, ends)], axis=0)
        assert np.allclose(plane[inside], (3 + np.tensordot([0.2, -0.1, 0.4], places, 1))[inside], atol=1e-4)
        beyond = np.any([(p < low - 3) | (p > high + 3) for p, (low, high) in zip(places, ends)], axis=0)
        assert (plane[beyond] == 0).all()
        seen += int(inside.sum())
    assert seen > 1000


def test_reached():
    """No slice is left out in which there is anything, and empty arrays reach none."""
    box, turned = grid()
    array = np.zeros((1, *box.shape), np.float32)
    assert turned.reached(array, 40) == []
    array[0, 4, 5, 6] = 1
    reached = TurnedGrid(box, SHAPE, turned.to_upright).reached(array, 40)
    filled = [
        k
        for k in range(40)
        if turned.__class__(box, SHAPE, turned.to_upright).to_native_slice(array, k, (50, 44)).any()
    ]
    assert filled and set(filled) <= set(reached) and len(reached) < 12

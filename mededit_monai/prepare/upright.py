# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A copy of a scan on axes along the head's own, for a model that knows heads as they lie upright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from mededit_monai.io.nifti import Volume
from mededit_monai.space.fine_box import COARSEST_MM, FINEST_MM
from mededit_monai.space.model_space import with_every_component
from mededit_monai.space.native_flow import places_of
from mededit_monai.space.shapes import around

#: Around the brain in mm.
MARGIN_MM = 10.0

#: Voxels around the brain that a spline is fitted to.
NEAR = 12

#: Planes that are worked out at a time.
SLAB = 16


class Upright:
    """
    The grid of an upright copy: equal sides, the brain and a margin.

    Args:
        scan: XxYxZ RAS; brain: bool, the same shape.
        pose: rigid, world mm of an upright head → of the scan, 4x4.
    """

    def __init__(self, scan: Volume, brain: np.ndarray, pose: np.ndarray) -> None:
        side = float(np.clip(min(scan.spacing), FINEST_MM, COARSEST_MM))
        to_scan = np.linalg.inv(scan.affine) @ pose  # upright mm → voxels of the scan
        there = (np.argwhere(brain) - to_scan[:3, 3]) @ np.linalg.inv(to_scan[:3, :3]).T
        low, high = there.min(axis=0) - MARGIN_MM, there.max(axis=0) + MARGIN_MM
        count = np.ceil((high - low) / side).astype(int) + 1
        self.shape: tuple[int, int, int] = (int(count[0]), int(count[1]), int(count[2]))
        grid = np.diag([side, side, side, 1.0])
        grid[:3, 3] = low
        self.affine = pose @ grid
        self._scan, self._to_scan = scan, places_of(self.affine, scan.affine)
        self._near = around(brain, NEAR)

    def volume(self, data: np.ndarray) -> Volume:
        """The scan's intensities in and beside the brain, XxYxZ, by a cubic spline that stays between its voxels."""
        near = data[self._near].astype(np.float32)
        found = self._sampled(ndimage.spline_filter(near, 3, np.float32), 3)
        least, most = (f(near, size=2, origin=-1) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
        found = np.clip(found, *(self._sampled(limit, 0, floor=True) for limit in (least, most)))
        return replace(
            self._scan,
            data=found,
            affine=self.affine,
            native_affine=self.affine,
            native_shape=self.shape,
            content=b"",
        )

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask, set where it covers half of a voxel; no piece of it is lost. Bool."""
        return with_every_component(self._sampled(mask[self._near].astype(np.float32), 1) >= 0.5, mask, self._nearest)

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Of whole numbers from 0 the one that covers most of a voxel, uint8."""
        count = max(1, int(labels.max()))
        shares = [self._sampled((labels[self._near] == label).astype(np.float32), 1) for label in range(count + 1)]
        return np.argmax(shares, axis=0).astype(np.uint8)

    def _sampled(self, near: np.ndarray, order: int, floor: bool = False) -> np.ndarray:
        """An image (spline coefficients) of the scan's box around the brain at the copy's voxels, 0 beyond."""
        found = np.zeros(self.shape, np.float32)
        shift = self._to_scan[:3, 3:] - np.array([[side.start] for side in self._near])
        for first in range(0, self.shape[0], SLAB):
            part = found[first : first + SLAB]
            index = np.indices(part.shape).reshape(3, -1)
            index[0] += first
            places = self._to_scan[:3, :3] @ index + shift
            places = np.floor(places) if floor else places
            values = ndimage.map_coordinates(near, places, np.float32, order, "grid-constant", prefilter=False)
            part[...] = values.reshape(part.shape)
        return found

    def _nearest(self, voxels: np.ndarray) -> tuple[np.ndarray, ...]:
        back = np.linalg.inv(self._to_scan)
        places = np.rint(voxels @ back[:3, :3].T + back[:3, 3]).astype(int)
        return tuple(np.clip(place, 0, count - 1) for place, count in zip(places.T, self.shape))

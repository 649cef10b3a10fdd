# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A volume on the model's 3-D grid: the slices' geometry in the plane, the same pixel size along z.

The window is centred on the brain in all three directions. In the plane a volume's slice is exactly what
:class:`~mededit_monai.space.geometry.ModelGrid` makes of it; along z an anti-aliased linear filter follows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from mededit_monai.io.nifti import Volume
from mededit_monai.space.geometry import ModelGrid
from mededit_monai.space.intensity import intensity_ceiling, to_unit


class ModelBlock:
    """
    The model's grid over a volume.

    Args:
        brain: bool, XxYxZ in RAS order, not empty.
        spacing: voxel size (x, y, z) in mm.
        window: side of the in-plane window in mm.
        depth: model pixels along z.
        size: model pixels a side in the plane.
    """

    def __init__(
        self, brain: np.ndarray, spacing: tuple[float, float, float], window: int, depth: int, size: int = 128
    ) -> None:
        self.plane = ModelGrid.around_brain(brain, spacing[:2], window, size)
        inside = np.flatnonzero(brain.any(axis=(0, 1)))
        self.spacing_z, self.depth = float(spacing[2]), depth
        centre = (inside[0] + inside[-1]) / 2
        step = self.plane.pixel_mm / self.spacing_z
        #: Index on the volume's z axis of every model slice.
        self.heights = centre + (np.arange(depth) - (depth - 1) / 2) * step

    def resample(self, volume: np.ndarray, to_plane: Callable[[int], np.ndarray]) -> np.ndarray:
        """
        Bring slices to the model's grid.

        Args:
            volume: XxYxZ; slices that are zero throughout are not touched.
            to_plane: index of a slice → ``size``x``size`` float32.

        Returns:
            ``size``x``size``x``depth`` float32.
        """
        count, side = volume.shape[2], self.plane.size
        weights = self._weights(count)
        result = np.zeros((self.depth, side, side), dtype=np.float32)
        for z in np.flatnonzero(volume.any(axis=(0, 1)) & weights.any(axis=0)):
            plane = to_plane(int(z))
            for k in np.flatnonzero(weights[:, z]):
                result[k] += weights[k, z] * plane
        return np.moveaxis(result, 0, -1)

    def coverage(self, mask: np.ndarray, order: int = 1) -> np.ndarray:
        """Share of every model voxel that a mask covers, [0, 1]."""

        def plane(z: int) -> np.ndarray:
            return self.plane.to_model(self.plane.to_millimetres(mask[:, :, z], order))

        return self.resample(mask, plane)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask's voxels that are covered by half; a component with none keeps the voxel nearest to its centre."""
        small = self.coverage(mask) >= 0.5
        labels, count = ndimage.label(mask)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            corner = np.array([side.start for side in box])
            points = np.argwhere(labels[box] == number) + corner
            if not small[tuple(self._nearest(points).T)].any():
                small[tuple(self._nearest(points.mean(axis=0, keepdims=True))[0])] = True
        return small

    def _nearest(self, points: np.ndarray) -> np.ndarray:
        """Voxel indices of the volume, Nx3 → nearest model voxels, Nx3."""
        model = np.empty(points.shape)
        for axis, (start, step) in enumerate(zip(self.plane.start, self.plane.spacing)):
            model[:, axis] = ((points[:, axis] - start) * step + 0.5) / self.plane.pixel_mm - 0.5
        model[:, 2] = (points[:, 2] - self.heights[0]) * self.spacing_z / self.plane.pixel_mm
        return np.clip(np.rint(model), 0, (self.plane.size - 1, self.plane.size - 1, self.depth - 1)).astype(int)

    def _weights(self, count: int) -> np.ndarray:
        """Triangle filter, depth x count: as wide as the coarser of both grids; zero outside the volume."""
        width = max(self.plane.pixel_mm / self.spacing_z, 1.0)
        reach = int(np.ceil(width)) + 1
        low, high = int(np.floor(self.heights[0])) - reach, int(np.ceil(self.heights[-1])) + reach
        index = np.arange(min(low, 0), max(high, count) + 1)
        weights = np.maximum(0, 1 - np.abs(index[None] - self.heights[:, None]) / width)
        weights /= weights.sum(axis=1, keepdims=True)
        first = -int(index[0])
        return weights[:, first : first + count].astype(np.float32)

    def affine(self, ras_affine: np.ndarray) -> np.ndarray:
        """World coordinates of the model's voxels: 4x4, from voxel (RAS order) → mm of the volume."""
        to_voxel = np.eye(4)
        to_voxel[2, 2] = self.heights[1] - self.heights[0] if self.depth > 1 else 1.0
        to_voxel[2, 3] = self.heights[0]
        return self.plane.model_affine(ras_affine, 0) @ to_voxel


def model_image(
    block: ModelBlock, scan: Volume, brain: np.ndarray, percentile: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """
    A scan as a network sees it: scan x brain in [0, 1] on the model's grid.

    The intensity that becomes 1 is taken from the axial slice with the most brain, as for a single slice.

    Args:
        brain: bool on the scan's grid.
        percentile: of that slice.

    Returns:
        image (float32 in [0, 1]), brain (bool), and the scan's intensity of 1.
    """
    grid = block.plane

    def stripped(z: int) -> np.ndarray:
        return grid.to_millimetres(scan.data[:, :, z]) * grid.to_millimetres(brain[:, :, z], order=0)

    ceiling = intensity_ceiling(stripped(int(brain.sum(axis=(0, 1)).argmax())), percentile)
    inside = block.coverage(brain, order=0) >= 0.5
    image = block.resample(brain, lambda z: grid.to_model(to_unit(stripped(z), ceiling)))
    return np.clip(image, 0, 1) * inside, inside, ceiling

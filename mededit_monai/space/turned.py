# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Grids of a scan that was set upright, seen from the voxels of the scan as it lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import box_on
from mededit_monai.space.shapes import around


@dataclass(frozen=True, eq=False)
class TurnedGrid:
    """
    What :func:`~mededit_monai.space.restore.restore` asks of a grid, where the grid is one of an upright copy.

    Args:
        grid: on the upright copy: the model's volume, or a box that was painted on.
        shape: of the upright copy, XxYxZ.
        to_upright: voxels of the scan → voxels of the upright copy, 4x4.
    """

    grid: ModelSpace | FineBox
    shape: tuple[int, int, int]
    to_upright: np.ndarray
    _laid: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)

    @property
    def pixel_mm(self) -> float:
        """Side of a point of the grid."""
        return self.grid.pixel_mm

    def row_of(self, z: int) -> int:
        """Row of an array that slice ``z`` of the scan is in."""
        return 0

    def reached(self, array: np.ndarray, count: int) -> list[int]:
        """Slices of a scan of ``count`` slices in which :meth:`to_native_slice` can be anything but zero."""
        filled = self._on_upright(array) != 0
        if not filled.any():
            return []
        x, y, z = around(filled, 0)
        reached = box_on((x, y, z), self.to_upright, (1, 1, count))[2]  # whatever the slices' own size
        return list(range(reached.start, reached.stop))

    def to_native_slice(self, array: np.ndarray, z: int, shape: tuple[int, int]) -> np.ndarray:
        """An array of the grid at the voxels of a slice of the scan, linear; XxY float32, 0 beyond the grid."""
        index = np.stack([*(side.ravel() for side in np.indices(shape)), np.full(shape[0] * shape[1], z)])
        places = self.to_upright[:3, :3] @ index + self.to_upright[:3, 3:]
        found = ndimage.map_coordinates(self._on_upright(array), places, np.float32, 1, "grid-constant")
        plane: np.ndarray = found.reshape(shape)
        return plane

    def _on_upright(self, array: np.ndarray) -> np.ndarray:
        """An array of the grid on the upright copy's voxels; worked out once for each."""
        for known, laid in self._laid:
            if known is array:
                return laid
        laid = np.zeros(self.shape, np.float32)
        for z in self.grid.reached(array, self.shape[2]):
            laid[:, :, z] = self.grid.to_native_slice(array, z, self.shape[:2])
        self._laid.append((array, laid))
        return laid

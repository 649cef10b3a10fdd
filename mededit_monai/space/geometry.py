# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a model pixel lies in the scan: the map between an axial slice in RAS order and the model's square grid.

The thesis zero-pads (ATLAS) or crops (BraTS) a 1 mm slice to a square and resizes it to 128×128. Stated in millimetres
this holds for any field of view and voxel size: a window of 233 mm (stroke) or 200 mm (tumour) centred on the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage


@dataclass(frozen=True)
class ModelGrid:
    """
    The model's grid over a RAS slice.

    Args:
        spacing: in-plane voxel size of the slice (x, y) in mm.
        start: slice index (x, y) at which the first millimetre of the window is sampled; whole numbers, so that a
            1 mm slice is cropped and padded without interpolation.
        window: side of the window in whole mm.
        size: model pixels a side.
        unit_mm: what a "mm" of the above is in truth: 1, but in slices that are in model space already, where it is a
            model pixel and every map is the identity.
    """

    spacing: tuple[float, float]
    start: tuple[int, int]
    window: int = 233
    size: int = 128
    unit_mm: float = 1.0

    @property
    def pixel_mm(self) -> float:
        """Side of a model pixel in mm: 1.82 for stroke, 1.56 for tumour."""
        return self._step * self.unit_mm

    @property
    def is_model_space(self) -> bool:
        """Whether the slice is on the model's own grid, as simulated and prepared cohorts are."""
        return self.window == self.size

    @property
    def _step(self) -> float:
        return self.window / self.size

    @classmethod
    def around_brain(
        cls, brain: np.ndarray, spacing: tuple[float, float], window: int = 233, size: int = 128
    ) -> ModelGrid:
        """
        Centre the window on the brain's bounding box.

        A slice of ``size``x``size`` points that are a model pixel apart is in model space: it is taken as it is.

        Args:
            brain: brain mask in RAS order, XxY[xZ], not empty. The whole volume, so that all slices share a grid.
        """
        if brain.shape[:2] == (size, size) and np.allclose(spacing, window / size, rtol=1e-3):
            return cls((1.0, 1.0), (0, 0), size, size, unit_mm=window / size)
        start = []
        for axis, step in enumerate(spacing):
            others = tuple(a for a in range(brain.ndim) if a != axis)
            inside = np.flatnonzero(brain.any(axis=others))
            centre = (inside[0] + inside[-1]) / 2
            # floor(x + 1/2): round() would send halves to the even neighbour, which differs between mirrored scans.
            start.append(int(np.floor(centre - (window - 1) / 2 / step + 0.5)))
        return cls(spacing=(float(spacing[0]), float(spacing[1])), start=(start[0], start[1]), window=window, size=size)

    def to_millimetres(self, plane: np.ndarray, order: int = 1) -> np.ndarray:
        """
        Resample a slice to the window's 1 mm grid; zero outside the slice.

        Args:
            plane: RAS slice, XxY.
            order: 1 for intensities, 0 for labels.

        Returns:
            ``window``x``window`` float32.
        """
        plane = np.asarray(plane, dtype=np.float32)
        if order and min(self.spacing) < 0.99:
            # Taking every n-th voxel would fold fine noise into the result.
            plane = ndimage.gaussian_filter(plane, [max(0.0, (1 / s - 1) / 2) for s in self.spacing])
        axes = [start + np.arange(self.window) / step for start, step in zip(self.start, self.spacing)]
        return _sample(plane, axes, order)

    def to_model(self, plane_mm: np.ndarray) -> np.ndarray:
        """Resize a 1 mm window (``window``x``window``) to ``size``x``size`` with an anti-aliased linear filter."""
        tensor = torch.from_numpy(np.ascontiguousarray(plane_mm, dtype=np.float32))[None, None]
        sides = (self.size, self.size)
        small = torch.nn.functional.interpolate(tensor, size=sides, mode="bilinear", antialias=True)
        return small[0, 0].numpy()

    def mask_to_model(self, plane_mm: np.ndarray) -> np.ndarray:
        """
        Resize a mask on the 1 mm window (coverage in [0, 1]) to the model's grid and binarise it.

        A pixel is set where at least half of it is covered. A lesion too small for that keeps its best-covered pixel:
        the thesis's smallest stratum starts at single pixels, and a lesion must not vanish on the way to the model.
        """
        covered = self.to_model(plane_mm)
        mask = covered >= 0.5
        labels, count = ndimage.label(plane_mm > 0)
        for component in range(1, count + 1):
            part = self.to_model(np.where(labels == component, plane_mm, 0))
            if not mask[part > 0].any():
                mask[np.unravel_index(part.argmax(), part.shape)] = True
        return mask

    def to_native(self, plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """
        Sample a model-space plane at every voxel of the native slice (linear); zero outside the window.

        Args:
            plane: ``size``x``size``.
            shape: native slice shape (x, y).
        """
        axes = []
        for count, start, step in zip(shape, self.start, self.spacing):
            millimetres = (np.arange(count) - start) * step
            axes.append((millimetres + 0.5) / self._step - 0.5)
        return _sample(np.asarray(plane, dtype=np.float32), axes, order=1)

    def model_affine(self, ras_affine: np.ndarray, slice_index: int) -> np.ndarray:
        """
        World coordinates of the model's pixels.

        Args:
            ras_affine: 4x4, voxel (x, y, z) in RAS order → mm.
            slice_index: the slice's index on the third axis.

        Returns:
            4x4 affine of the (``size``, ``size``, 1) image.
        """
        to_voxel = np.eye(4)
        for axis in range(2):
            to_voxel[axis, axis] = self._step / self.spacing[axis]
            to_voxel[axis, 3] = self.start[axis] + (self._step / 2 - 0.5) / self.spacing[axis]
        to_voxel[2, 3] = slice_index
        return np.asarray(ras_affine, dtype=np.float64) @ to_voxel


def _sample(plane: np.ndarray, axes: list[np.ndarray], order: int) -> np.ndarray:
    """Sample ``plane`` on the product of two coordinate axes; zero outside."""
    grid = np.meshgrid(*axes, indexing="ij")
    return ndimage.map_coordinates(plane, grid, order=order, mode="grid-constant", cval=0.0, output=np.float32)

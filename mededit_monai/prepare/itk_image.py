# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A brain on a grid of its own in the world, for what ITK does with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

#: RAS ↔ LPS, which ITK counts in.
LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class BrainImage:
    """
    Args:
        data: XxYxZ float32, 0 outside the brain; affine: voxel → world mm (RAS), 4x4.
    """

    data: np.ndarray
    affine: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Centre of what is not background, world mm."""
        found: np.ndarray = self.affine[:3, :3] @ ndimage.center_of_mass(self.data > 0.1) + self.affine[:3, 3]
        return found

    def coarser(self, mm: float) -> BrainImage:
        """Smoothed and sampled about ``mm`` apart; axes with larger voxels stay."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        step = np.maximum(mm / spacing, 1)
        data = self.data
        for axis in np.argsort(-step):  # axis by axis, so that the later ones have less to do
            if step[axis] > 1:
                data = ndimage.gaussian_filter1d(data, step[axis] / 2, axis)
                data = _sampled(data, float(step[axis]), int(axis))
        return BrainImage(data, self.affine @ np.diag([*step, 1]))

    def at(self, world: np.ndarray, mode: str = "grid-constant") -> np.ndarray:
        """Values at world mm, 3xN, linear; outside as scipy's ``mode`` says, 0 by default."""
        back = np.linalg.inv(self.affine)
        found: np.ndarray = ndimage.map_coordinates(self.data, back[:3, :3] @ world + back[:3, 3:], np.float32, 1, mode)
        return found

    def on(self, other: BrainImage, affine: np.ndarray) -> np.ndarray:
        """Values where another image's voxels come to lie by an affine transform of the world, 4x4; of its shape."""
        found: np.ndarray = self.at(affine[:3, :3] @ other.points + affine[:3, 3:]).reshape(other.data.shape)
        return found

    @property
    def points(self) -> np.ndarray:
        """World mm of all voxels, 3xN."""
        found: np.ndarray = self.affine[:3, :3] @ np.indices(self.data.shape).reshape(3, -1) + self.affine[:3, 3:]
        return found


def _sampled(data: np.ndarray, step: float, axis: int) -> np.ndarray:
    """Every ``step``-th value along an axis, linear between two."""
    at = np.arange(int((data.shape[axis] - 1) // step) + 1) * step
    first = at.astype(int)
    share = (at - first).astype(data.dtype).reshape([-1 if a == axis else 1 for a in range(data.ndim)])
    low, high = data.take(first, axis), data.take(np.minimum(first + 1, data.shape[axis] - 1), axis)
    found: np.ndarray = low + share * (high - low)
    return found


def to_itk(image: BrainImage) -> Any:
    """A SimpleITK image of the same world."""
    import SimpleITK as sitk  # half a second

    made = sitk.GetImageFromArray(np.ascontiguousarray(image.data.T))
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    made.SetSpacing(spacing.tolist())
    made.SetOrigin((LPS @ image.affine[:3, 3]).tolist())
    made.SetDirection((LPS @ image.affine[:3, :3] / spacing).ravel().tolist())
    return made

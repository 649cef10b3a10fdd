# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A scan's brain on 1 mm points along the axes of a space: where its tissue and its ventricles are, by intensity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from mededit_monai.io.nifti import Volume
from mededit_monai.simulation.anatomies import deep_fluid, tissue_means
from mededit_monai.space.shapes import main_box

#: More points than this are no brain: one fills 5 million.
MOST_POINTS = 40_000_000

#: First and last point of the grid in MNI space, mm: the brain with a margin. The same for every scan, so that what is
#: drawn on it hardly depends on how a head lies.
MNI_GRID = np.array([[-88.0, 88.0], [-124.0, 90.0], [-84.0, 98.0]])

#: Lateral ventricles together are no larger, in ml: what is, is background or a darker contrast.
LARGEST_VENTRICLES_ML = 250.0


@dataclass(frozen=True, eq=False)
class Tissue:
    """
    Args:
        affine: voxel → mm of the space, 4x4: 1 mm points, RAS.
        brain, ventricles: bool XxYxZ.
        fluid, gray: by intensity, in [0, 1], float32 XxYxZ.
    """

    affine: np.ndarray
    brain: np.ndarray
    ventricles: np.ndarray
    fluid: np.ndarray
    gray: np.ndarray

    def points(self, voxels: np.ndarray) -> np.ndarray:
        """mm of the space of voxels, Nx3."""
        found: np.ndarray = voxels + self.affine[:3, 3]
        return found


def tissue_of(scan: Volume, brain: np.ndarray, mni_to_scan: np.ndarray | None = None) -> Tissue | None:
    """
    Look at a scan along the axes of MNI space, or of its own world.

    Args:
        scan: T1; brain: bool, XxYxZ RAS, not empty.
        mni_to_scan: MNI mm → world mm of the scan, 4x4; None for the scan's own mm.

    Returns:
        None if the brain's box is far too large.
    """
    to_space = scan.affine if mni_to_scan is None else np.linalg.inv(mni_to_scan) @ scan.affine
    ends = main_box(brain) + np.array([-0.5, 0.5])
    corners = np.array(list(product(*ends))) @ to_space[:3, :3].T + to_space[:3, 3]
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 2
    if mni_to_scan is not None:
        low, high = MNI_GRID[:, 0], MNI_GRID[:, 1] + 1
    if not np.prod(high - low) <= MOST_POINTS:
        return None
    affine = np.eye(4)
    affine[:3, 3] = low
    to_voxel = np.linalg.inv(to_space) @ affine
    count = tuple((high - low).astype(int))

    def sampled(image: np.ndarray, order: int) -> np.ndarray:
        found: np.ndarray = ndimage.affine_transform(
            image, to_voxel[:3, :3], to_voxel[:3, 3], count, np.float32, order, "grid-constant"
        )
        return found

    inside = sampled(brain.astype(np.float32), 0) > 0.5
    values = sampled(scan.data, 1)
    if not inside.any():  # thinner than the distance of the points
        return None
    fluid, gray, white = tissue_means(values[inside])
    share_fluid = np.clip((gray - values) / max(gray - fluid, 1e-6), 0, 1) * inside
    share_white = np.clip((values - gray) / max(white - gray, 1e-6), 0, 1) * inside
    ventricles = deep_fluid(share_fluid > 0.5, inside, step=2) > 0
    if ventricles.sum() / 1000 > LARGEST_VENTRICLES_ML:
        ventricles = np.zeros_like(inside)
    return Tissue(affine, inside, ventricles, share_fluid, (1 - share_fluid - share_white) * inside)

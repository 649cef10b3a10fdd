# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which way the axes of an image point, and whether its affine says so at all."""

from __future__ import annotations

import numpy as np
from nibabel.orientations import io_orientation, ornt2axcodes

#: Voxels this long, in mm, are no voxels: a damaged header.
_ENDLESS = 1e6


def is_usable(affine: np.ndarray) -> bool:
    """
    Whether an affine, 4x4, gives every voxel axis a direction of its own: finite, not flat, and of axes as different as
    those of an image. By numbers of very unlike size a determinant alone is deceived.
    """
    affine = np.asarray(affine, dtype=np.float64)
    if not np.isfinite(affine).all() or np.abs(affine[:3]).max() > _ENDLESS:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3])) >= 1e-9 and np.isfinite(io_orientation(affine)).all())


def axis_names(affine: np.ndarray) -> str:
    """The directions in which the voxel axes point, such as LPS; ??? of an affine that is not usable."""
    return "".join(ornt2axcodes(io_orientation(affine))) if is_usable(affine) else "???"

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is moved tissue as sharp as it was? Fine structure of an edit at the scan's own resolution, where tissue moved."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mededit_monai.metrics.arrays import mean_over, ratio, same_shape, to_array, to_mask
from mededit_monai.metrics.preservation import high_frequency_power
from mededit_monai.space.flow import warp

#: Width in voxels of the smoothing whose residual is fine structure: what interpolation takes away first.
FINE_VOXELS = 1.0


def moved_texture(
    edited: np.ndarray, scan: np.ndarray, steps: np.ndarray, moved: np.ndarray, brain: np.ndarray
) -> float:
    """
    s.d. of fine structure in moved tissue, over that of the scan at the very places the tissue came from.

    Fine structure is the residual of a Gaussian of one voxel, normalised within the brain. Its *power* is what is
    carried from the source by u: carrying the residual itself would smooth it, and the measure would be blind.

    Args:
        edited, scan: HxW[xD] in one range, on the scan's own grid.
        steps: u in grid steps, nxHxW[xD]; out(r) = in(r + u(r)).
        moved: where tissue moved and nothing was painted; brain: mask. Voxels less than three from the brain's edge
            are left out: the step to the background is no texture.

    Returns:
        1: the same texture, below 1: smoother; NaN where nothing moved, or the source has no structure at all.

    Raises:
        ValueError: shapes that differ.
    """
    scan = to_array(scan, "the scan")
    edited, field = to_array(edited, "the edit"), np.asarray(steps, dtype=np.float32)
    same_shape(edited, scan, "the edit")
    if field.shape != (scan.ndim, *scan.shape):
        raise ValueError(f"the displacement has shape {field.shape}, wanted {(scan.ndim, *scan.shape)}.")
    inside = to_mask(brain, scan, "the brain mask")
    where = to_mask(moved, scan, "the moved tissue") & inside
    if not where.any():
        return float("nan")
    reach = int(np.ceil(np.abs(field[:, where]).max())) + 8
    box = tuple(slice(max(int(k.min()) - reach, 0), int(k.max()) + reach + 1) for k in np.nonzero(where))
    edited, scan, inside, where, field = edited[box], scan[box], inside[box], where[box], field[(slice(None), *box)]
    where &= ndimage.binary_erosion(inside, iterations=3)
    powers = [high_frequency_power(image, inside, 1.0, FINE_VOXELS) for image in (edited, scan)]
    source = warp(powers[1][None].astype(np.float32), field)[0].astype(np.float64)
    return float(np.sqrt(ratio(mean_over(powers[0], where), mean_over(source, where))))

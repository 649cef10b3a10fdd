# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From the model's slice back to the scan: same grid, same stored type, nothing changed outside the region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mededit_monai.io.nifti import NativeCopy
from mededit_monai.space.geometry import ModelGrid

RESTORE_MODES = ("residual", "replace")

#: |change| in [0, 1] from where on the upsampled edit begins to replace, and from where it fully replaces, the sum of
#: native slice and change. Below, the native texture is the patient's; above, it belongs to tissue that is gone.
BLEND = (0.10, 0.30)


@dataclass
class Restored:
    """What was written back: ``region`` (native RAS, XxYxZ, voxels that may change), how many did, and warnings."""

    region: np.ndarray
    changed: int
    warnings: list[str] = field(default_factory=list)


def restored_plane(
    native: np.ndarray, prior: np.ndarray, edit: np.ndarray, grid: ModelGrid, ceiling: float, mode: str = "residual"
) -> np.ndarray:
    """
    An edited slice on the native grid.

    ``residual``: native + change, where the change edit - prior is upsampled linearly; blended to the upsampled edit
    where the change is large. No change means exactly the native value. ``replace``: the upsampled edit.

    Args:
        native: scan units, XxY float64.
        prior, edit: model slices in [0, 1], HxW.
        ceiling: scan units of intensity 1.

    Returns:
        XxY float64 in scan units.
    """
    if mode not in RESTORE_MODES:
        raise ValueError(f"restore must be one of {', '.join(RESTORE_MODES)}, got {mode!r}.")
    shape = (native.shape[0], native.shape[1])
    upsampled = grid.to_native(edit, shape).astype(np.float64) * ceiling
    if mode == "replace":
        return upsampled
    change = grid.to_native(edit - prior, shape).astype(np.float64)
    ramp = np.clip((np.abs(change) - BLEND[0]) / (BLEND[1] - BLEND[0]), 0, 1)
    weight = ramp * ramp * (3 - 2 * ramp)
    kept = native + ceiling * change
    return np.where(change == 0, native, kept + weight * (upsampled - kept))


def restore_slices(
    copy: NativeCopy,
    brain: np.ndarray,
    grid: ModelGrid,
    slices: list[int],
    ceilings: list[float],
    prior: np.ndarray,
    edit: np.ndarray,
    region: np.ndarray,
    mode: str = "residual",
) -> Restored:
    """
    Write edited slices into a copy of the scan.

    Args:
        copy: changed in place.
        brain: native mask, XxYxZ RAS; nothing outside it changes.
        prior, edit: SxHxW in [0, 1]; region: SxHxW bool.

    Returns:
        the native region and warnings.
    """
    native_region = np.zeros(brain.shape, dtype=bool)
    saturated = changed = 0
    for number, z in enumerate(slices):
        native = copy.plane(z)
        shape = (native.shape[0], native.shape[1])
        # Linear upsampling spreads a change by at most a model pixel beyond the region; that seam belongs to it.
        where = (grid.to_native(region[number].astype(np.float32), shape) > 0) & brain[:, :, z]
        new = restored_plane(native, prior[number], edit[number], grid, ceilings[number], mode)
        new = np.maximum(new, min(0.0, float(native.min())))  # magnitude images have a floor
        native_region[:, :, z] = where
        saturated += copy.replace(z, new, where & (new != native))
        changed += int(np.count_nonzero(copy.plane(z) != native))
    warnings = [f"{saturated} voxels exceeded the stored data type and were saturated."] if saturated else []
    if not changed:
        warnings.append(
            f"the edit changed no voxel of the scan; the lesion may be smaller than a model pixel ({grid.pixel_mm:.2f} "
            f"mm), or lie where there is no tissue."
        )
    return Restored(native_region, changed, warnings)

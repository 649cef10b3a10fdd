# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A drawn lesion for a first try: an irregular ball on a scan's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from mededit_monai.errors import InputError
from mededit_monai.transforms.brain import brain_from_background
from mededit_monai.transforms.nifti import NativeCopy, binary_mask, read_volume, require_same_grid, save_synthetic


def draw_lesion(
    scan: str | Path,
    output: str | Path,
    centre: tuple[float, float, float] | None = None,
    radius: float = 14.0,
    brain: str | Path | None = None,
    seed: int = 0,
    regions: bool = False,
) -> int:
    """
    Write a mask with an irregular lesion inside the brain.

    Args:
        scan: NIfTI whose grid the mask gets.
        output: ``.nii.gz`` to write.
        centre: world mm, RAS+; None for a point in the white matter of the patient's right hemisphere, found as 30 mm
            to the right of the brain's centre and 15 mm above it.
        radius: mean radius in mm.
        brain: brain mask; None if the scan is skull-stripped.
        seed: shape of the outline.
        regions: labels of a tumour instead of ones: 1 necrotic core to 45 % of the radius, 3 enhancing rim to 65 %, 2
            edema beyond.

    Returns:
        voxels in the mask.

    Raises:
        InputError: unusable scan or mask, radius not positive, or a lesion that lies outside the brain.
    """
    if radius <= 0:
        raise InputError(f"--radius: got {radius}, wanted a positive number of mm.")
    volume = read_volume(scan)
    if brain is None:
        inside = brain_from_background(volume)
    else:
        mask = read_volume(brain)
        require_same_grid(mask, volume)
        inside = binary_mask(mask)
    spacing = np.asarray(volume.spacing)
    if centre is None:
        middle = ndimage.center_of_mass(inside)
        voxel = np.asarray(middle) + np.array([30.0, 0.0, 15.0]) / spacing
    else:
        voxel = np.linalg.solve(volume.affine, [*centre, 1.0])[:3]
    grid = np.ogrid[tuple(slice(0, n) for n in inside.shape)]
    distance = np.sqrt(sum(((g - c) * s) ** 2 for g, c, s in zip(grid, voxel, spacing)))
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(inside.shape), radius / 2.5 / spacing)
    depth = (distance + 0.25 * radius * rough / rough.std()) / radius
    lesion = (depth < 1) & inside
    if not lesion.any():
        raise InputError(
            f"--centre: {centre} lies outside the brain of {scan}; choose a point inside it (world mm, RAS+)."
        )
    labels = np.select([depth < 0.45, depth < 0.65], [1, 3], 2) if regions else 1
    native = NativeCopy.to_native((lesion * labels).astype(np.uint8), volume)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    save_synthetic(native, volume.native_affine, output)
    return int(lesion.sum())

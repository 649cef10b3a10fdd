# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A drawn lesion for a first try: an irregular ball on a scan's own grid."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError, require_whole, say
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import is_nifti
from mededit_monai.io.nifti import (
    NativeCopy,
    Volume,
    binary_mask,
    read_volume,
    require_same_grid,
    save_synthetic,
)
from mededit_monai.io.outputs import require_apart, require_writable, write_output
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.prepare.one_by_one import refuse_warnings
from mededit_monai.prepare.plausible import brain_warnings

#: Radii in mm and world coordinates (mm, either sign) that can be meant.
RADII, FARTHEST = (0.1, 200.0), 1000.0

#: A lesion of fewer voxels is said to be small.
FEW_VOXELS = 8


def draw_lesion(
    scan: str | Path,
    output: str | Path,
    centre: tuple[float, float, float] | None = None,
    radius: float = 14.0,
    brain: str | Path | None = None,
    seed: int = 0,
    regions: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> int:
    """
    Write a mask with an irregular lesion inside the brain.

    Args:
        scan: NIfTI whose grid the mask gets.
        output: ``.nii`` or ``.nii.gz`` to write.
        centre: world mm, RAS+; None for a point in the white matter of the patient's right hemisphere, found as 30 mm
            to the right of the brain's centre and 15 mm above it.
        radius: mean radius in mm.
        brain: brain mask; None if the scan is skull-stripped.
        seed: shape of the outline.
        regions: labels of a tumour instead of ones: 1 necrotic core to 45 % of the radius, 3 enhancing rim to 65 %, 2
            edema beyond.
        overwrite: whether another mask that mededit wrote there may be replaced.
        strict: whether what would be done with a warning is refused.

    Returns:
        voxels in the mask.

    Raises:
        InputError: an option that cannot be, unusable scan or mask, a lesion that lies outside the brain, or a file
            that is not ours in the output's place.
    """
    _check_options(centre, radius, seed)
    scan, output = user_path(scan), user_path(output)
    brain = None if brain is None else user_path(brain)
    inputs = [path for path in (scan, brain) if path is not None]
    _require_place(output, inputs)
    volume = read_volume(scan)
    warnings: list[str | None] = [*volume.warnings]
    if brain is None:
        inside = brain_from_background(volume)
    else:
        mask = read_volume(brain)
        warnings += [*mask.warnings, require_same_grid(mask, volume)]
        inside = binary_mask(mask)
    warnings += brain_warnings(brain, inside, volume)
    lesion, labels = _drawn(volume, inside, centre, radius, seed)
    voxels = int(lesion.sum())
    if voxels < FEW_VOXELS:
        size = " x ".join(f"{mm:g}" for mm in volume.spacing)
        warnings.append(
            f"the lesion has {voxels} voxel{'s' if voxels > 1 else ''} only (radius {radius:g} mm, voxels of {size} "
            f"mm); a larger --radius gives it a shape."
        )
    found = [sentence for sentence in warnings if sentence]
    refuse_warnings(found, strict)
    for warning in found:
        say(f"warning: {warning}")
    native = NativeCopy.to_native((lesion * (labels if regions else 1)).astype(np.uint8), volume)
    write_output(output, _content(native, volume.native_affine, output.name), overwrite, inputs)
    return voxels


def _check_options(centre: Any, radius: Any, seed: Any) -> None:
    """Everything that can be told before a file is read."""
    least, most = RADII
    if not _is_number(radius) or not least <= radius <= most:
        raise InputError(f"--radius: got {radius}, wanted a positive number of mm, from {least:g} to {most:g}.")
    if centre is not None:
        numbers = list(centre) if isinstance(centre, (tuple, list, np.ndarray)) else []
        if len(numbers) != 3 or not all(_is_number(n) and abs(n) <= FARTHEST for n in numbers):
            raise InputError(
                f"--centre: got {centre}, wanted three numbers from {-FARTHEST:g} to {FARTHEST:g}: x y z in world mm, "
                f"RAS+."
            )
    require_whole("seed", seed, 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def _require_place(output: Path, inputs: list[Path]) -> None:
    """Refuse a place that cannot be written to, before anything is computed."""
    if output.is_dir():
        raise InputError(
            f"{output}: is a folder, wanted the name of a mask to write, such as {output / 'lesion.nii.gz'}."
        )
    if not is_nifti(output):
        raise InputError(f"--output: got '{output}', wanted a name that ends in .nii or .nii.gz; rename it.")
    require_apart(output, inputs)
    require_writable(output, overwrite=True)  # whether our own mask may be replaced, its content decides


def _drawn(volume: Volume, inside: np.ndarray, centre: Any, radius: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The lesion (bool) and the labels of a tumour (uint8) at its place, XxYxZ RAS."""
    spacing = np.asarray(volume.spacing)
    if centre is None:
        middle = ndimage.center_of_mass(inside)
        voxel = np.asarray(middle) + np.array([30.0, 0.0, 15.0]) / spacing
    else:
        voxel = np.linalg.solve(volume.affine, [*centre, 1.0])[:3]
    grid = np.ogrid[tuple(slice(0, n) for n in inside.shape)]
    distance = np.sqrt(sum(((g - c) * s) ** 2 for g, c, s in zip(grid, voxel, spacing)))
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(inside.shape), radius / 2.5 / spacing)
    depth = (distance + 0.25 * radius * rough / (rough.std() or 1.0)) / radius
    lesion = (depth < 1) & inside
    if not lesion.any():
        nearest = np.rint(voxel).astype(int)
        if ((nearest >= 0) & (nearest < inside.shape)).all() and inside[tuple(nearest)]:
            size = " x ".join(f"{mm:g}" for mm in spacing)
            raise InputError(
                f"--radius: got {radius:g} mm, but the voxels of {volume.path} measure {size} mm and the middle of "
                f"none lies in the lesion; wanted at least {max(spacing):g}."
            )
        if centre is None:
            raise InputError(
                f"--centre: was not given, and the place 30 mm to the right of the middle of the brain of "
                f"{volume.path} and 15 mm above it lies outside the brain; give a point inside it (world mm, RAS+)."
            )
        raise InputError(
            f"--centre: {centre} lies outside the brain of {volume.path}; choose a point inside it (world mm, RAS+)."
        )
    return lesion, np.select([depth < 0.45, depth < 0.65], [1, 3], 2)


def _content(array: np.ndarray, affine: np.ndarray, name: str) -> bytes:
    """The bytes of the file."""
    with tempfile.TemporaryDirectory(prefix="mededit_") as folder:
        place = Path(folder) / name
        save_synthetic(array, affine, place)
        return place.read_bytes()

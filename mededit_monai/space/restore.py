# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From the model's slices or volume back to the scan: same grid, same stored type, nothing changed outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mededit_monai.io.nifti import NativeCopy
from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import NativeFlow
from mededit_monai.space.scanner_noise import missing_noise, noise_level
from mededit_monai.space.turned import TurnedGrid

#: |change| in [0, 1] from where on the upsampled edit begins to replace, and from where it fully replaces, the sum of
#: native slice and change. Below, the native texture is the patient's; above, it belongs to tissue that is gone.
BLEND = (0.10, 0.30)

#: Noise is measured on at most so many slices.
NOISE_SLICES = 24


@dataclass(frozen=True)
class DisplacedScan:
    """
    A scan after its displacement: what of it moved.

    Args:
        start: first voxel (RAS) of the box that holds all of it.
        moved: bool, the box: where the scan is no longer what it was; nowhere outside the brain.
        values: scan units, float32, the box; of use where ``moved``.
    """

    start: tuple[int, int, int]
    moved: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, flow: NativeFlow, brain: np.ndarray) -> DisplacedScan:
        """Pull a scan (XxYxZ RAS, scan units) through a displacement of its grid; outside the brain it stays."""
        values = np.zeros(flow.moved.shape, dtype=np.float32)
        values[flow.moved] = flow.pulled(image)
        return cls(flow.start, flow.moved & brain[flow.box], values)

    @property
    def slices(self) -> list[int]:
        """Axial slices of the scan in which anything moved."""
        return [self.start[2] + int(z) for z in np.flatnonzero(self.moved.any(axis=(0, 1)))]

    def on_slice(self, native: np.ndarray, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Slice ``z`` of the scan (XxY, scan units) after the displacement, and where it moved, bool."""
        found, where = native.copy(), np.zeros(native.shape, dtype=bool)
        if 0 <= (k := z - self.start[2]) < self.moved.shape[2]:
            x, y = (slice(first, first + n) for first, n in zip(self.start, self.moved.shape[:2]))
            where[x, y] = self.moved[:, :, k]
            found[x, y][self.moved[:, :, k]] = self.values[:, :, k][self.moved[:, :, k]]
        return found, where


@dataclass
class Restored:
    """What was written back: ``region`` (native RAS, XxYxZ, voxels that may change), how many did, and warnings."""

    region: np.ndarray
    changed: int
    warnings: list[str] = field(default_factory=list)


def restored_values(
    native: np.ndarray, change: np.ndarray, edit: np.ndarray, ceiling: float, mode: str = "residual"
) -> np.ndarray:
    """
    An edit on the native grid.

    ``residual``: native + change, blended to the edit where the change is large. No change means exactly the native
    value. ``replace``: the edit.

    Args:
        native: scan units, float64, any shape.
        change, edit: edit - prior, and the edit, in [0, 1], upsampled linearly to the same shape.
        ceiling: scan units of intensity 1.

    Returns:
        float64 in scan units.

    Raises:
        ValueError: unknown mode.
    """
    if mode not in ("residual", "replace"):
        raise ValueError(f"restore must be residual or replace, got {mode!r}.")
    upsampled = edit.astype(np.float64) * ceiling
    if mode == "replace":
        return upsampled
    change = change.astype(np.float64)
    ramp = np.clip((np.abs(change) - BLEND[0]) / (BLEND[1] - BLEND[0]), 0, 1)
    weight = ramp * ramp * (3 - 2 * ramp)
    kept = native + ceiling * change
    return np.where(change == 0, native, kept + weight * (upsampled - kept))


@dataclass(frozen=True)
class _Slice:
    """
    A slice of the scan, XxY each: as it was and after the displacement, where that moved it, where paint may be, the
    change by paint in [0, 1], and the slice with paint.
    """

    native: np.ndarray
    before: np.ndarray
    moved: np.ndarray
    painted: np.ndarray
    change: np.ndarray
    new: np.ndarray

    @property
    def replaced(self) -> np.ndarray:
        """How much of each pixel is paint, in [0, 1]: the scan's own noise has gone there."""
        return np.clip(np.abs(self.change) / BLEND[0], 0, 1) * self.painted


def _some(slices: Sequence[int]) -> list[int]:
    """At most ``NOISE_SLICES`` of them, evenly spread."""
    return [slices[k] for k in np.unique(np.linspace(0, len(slices) - 1, NOISE_SLICES).astype(int))] if slices else []


def _lacking_noise(shown: Mapping[int, _Slice], brain: np.ndarray) -> float:
    """s.d., in scan units, of the noise that paint lacks beside the scan around it, by some slices."""
    outside = [brain[:, :, z] & ~one.painted for z, one in shown.items()]
    scan = noise_level([one.before for one in shown.values()], outside)
    painted = [one.replaced >= 1 for one in shown.values()]
    return missing_noise(scan, noise_level([one.new for one in shown.values()], painted))


def restore(
    copy: NativeCopy,
    brain: np.ndarray,
    space: ModelSpace | FineBox | TurnedGrid,
    ceilings: list[float],
    prior: np.ndarray,
    edit: np.ndarray,
    region: np.ndarray,
    mode: str = "residual",
    displaced: DisplacedScan | None = None,
    noise_seed: int | None = None,
    gain: np.ndarray | None = None,
) -> Restored:
    """
    Write edited slices, or an edited volume, into a copy of the scan.

    With a displacement the scan is displaced on its own grid, and the change, which the model painted on its own
    displaced scan, is added to that.

    Args:
        copy: changed in place, slice by slice: a whole head in floats of eight bytes would need gigabytes.
        brain: native mask, XxYxZ RAS; nothing outside it changes.
        space: of the arrays: the model's, or a box that was painted on a finer grid, as the scan's voxels see it.
        ceilings: scan units of intensity 1, one a row of the space.
        prior, edit: rows x ``space.shape`` in [0, 1]: what was painted on (the displaced scan, where there is one) and
            with the paint. region: the same, bool, where paint may be.
        mode: ``residual`` or ``replace``, of what is painted.
        displaced: the scan after its displacement, if any.
        noise_seed: of noise that makes paint as noisy as the scan around it; None adds none.
        gain: of the scan's bias field, XxYxZ, which ``ceilings`` and ``displaced`` are without.

    Returns:
        the native region and warnings.
    """
    native_region = np.zeros(brain.shape, dtype=bool)
    saturated = changed = 0
    change, reachable = edit - prior, region.astype(np.float32)
    painted_slices = space.reached(region, brain.shape[2])

    def at(z: int) -> _Slice:
        native = copy.values(np.s_[:, :, z])
        native = native if gain is None else native / gain[:, :, z]
        before, moved = displaced.on_slice(native, z) if displaced else (native, np.zeros(native.shape, dtype=bool))
        # Linear upsampling spreads a change by at most a model pixel beyond the region; that seam belongs to it.
        painted = (space.to_native_slice(reachable, z, native.shape) > 0) & brain[:, :, z]
        by, to = (space.to_native_slice(model, z, native.shape) for model in (change, edit))
        new = np.where(painted, restored_values(before, by, to, ceilings[space.row_of(z)], mode), before)
        return _Slice(native, before, moved, painted, by, new)

    grain = 0.0 if noise_seed is None else _lacking_noise({z: at(z) for z in _some(painted_slices)}, brain)
    for z in sorted({*painted_slices, *(displaced.slices if displaced else ())}):
        one = at(z)
        new = one.new
        if grain:
            drawn = np.random.default_rng((noise_seed, z)).standard_normal(new.shape)  # type: ignore[arg-type]
            new = new + grain * one.replaced * drawn
        new = np.maximum(new, min(0.0, float(one.native.min())))  # magnitude images have a floor
        native_region[:, :, z] = where = one.painted | one.moved
        before = copy.values(np.s_[:, :, z])
        stored = new if gain is None else new * gain[:, :, z]
        saturated += copy.replace(stored, where & (new != one.native), np.s_[:, :, z])
        changed += int(np.count_nonzero(copy.values(np.s_[:, :, z]) != before))
    warnings = [f"{saturated} voxels exceeded the stored data type and were saturated."] if saturated else []
    if not changed:
        warnings.append(
            f"the edit changed no voxel of the scan; the lesion may be smaller than a pixel of the network's grid "
            f"({space.pixel_mm:.2f} mm), or lie where there is no tissue."
        )
    return Restored(native_region, changed, warnings)


def labels_on_scan(
    labels: np.ndarray, space: ModelSpace | FineBox | TurnedGrid, lesion: np.ndarray, count: int = 3
) -> np.ndarray:
    """
    Labels within a lesion at the scan's voxels: at each the one that most of what lies around it has.

    Args:
        labels: rows x ``space.shape``, 0 to ``count``; space: as of :func:`restore`; lesion: bool, XxYxZ RAS.

    Returns:
        XxYxZ uint8; 0 outside the lesion, and where none is near.
    """
    found = np.zeros(lesion.shape, np.uint8)
    shares = [(labels == label).astype(np.float32) for label in range(1, count + 1)]
    for z in set(space.reached(labels > 0, lesion.shape[2])) & set(np.flatnonzero(lesion.any(axis=(0, 1))).tolist()):
        here = np.stack([space.to_native_slice(share, z, lesion.shape[:2]) for share in shares])
        found[:, :, z] = np.where(lesion[:, :, z] & (here.max(axis=0) > 0), here.argmax(axis=0) + 1, 0)
    return found

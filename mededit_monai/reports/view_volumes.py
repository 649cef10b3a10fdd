# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A scan and its edits made small enough to lie within a page: whole numbers, cut to the head, compressed."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from mededit_monai.io.nifti import PREPARED_NOTE, SYNTHETIC_NOTE
from mededit_monai.reports.preview import lesion_planes

#: Levels of intensity, from 0 or the lowest voxel up to :data:`REACH` times the bright end of the tissue.
LEVELS, REACH = 2047, 2.0

#: A volume with more voxels is averaged over pairs along its finest axis, again and again, until it has no more.
MOST_VOXELS = 256**3

#: Voxels around the head, which is what is brighter than this share of the bright end.
MARGIN, DARK = 4, 0.02

#: Levels of a displacement, from 0 to the largest of the case.
STEPS = 255


@dataclass(frozen=True)
class ViewStep:
    """
    One counterfactual of a case.

    Args:
        name: of a sample, or step of a course.
        edit: XxYxZ in RAS order, in the scan's units.
        region: bool, XxYxZ: where it may differ from the prior.
        displacement: how far tissue moved, mm, XxYxZ; None where nothing was to move.
    """

    name: str
    edit: np.ndarray
    region: np.ndarray
    displacement: np.ndarray | None = None


@dataclass(frozen=True)
class ViewCase:
    """
    A case to look at.

    Args:
        name: its own.
        prior: XxYxZ in RAS order, in the scan's units; affine: voxel → mm, 4x4.
        lesion: bool, XxYxZ.
        steps: at least one; read one after the other, so that they need not all be in memory.
        largest_mm: of the displacements of all steps.
        facts: heading → names and texts.
        warnings: sentences.
    """

    name: str
    prior: np.ndarray
    affine: np.ndarray
    lesion: np.ndarray
    steps: Iterable[ViewStep]
    largest_mm: float = 0.0
    facts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def packed(case: ViewCase) -> dict[str, Any]:
    """
    A case as the page reads it: images are base64 of gzipped NIfTI, all on one grid.

    Returns:
        ``prior`` (int16; header: slope and intercept), ``lesion`` (0, 1), ``steps`` with ``difference`` (edit − prior
        in the prior's levels), ``region`` (0, 1) and ``displacement`` (uint8; slope in mm) or None; ``low`` and
        ``top``: the lowest and highest level, ``bright``: the upper end of the tissue, ``change``: the difference that
        is shown in full colour, all in the scan's units; ``largest_mm``; ``start``: voxel inside the lesion;
        ``notes``: what was done to the images, for people.
    """
    low, bright, top = _range(case.prior)
    part = _head(case, bright)
    factors = _factors(part, case.affine)
    step = (top - low) / LEVELS
    affine = _moved(case.affine, part, factors)

    def levels(volume: np.ndarray) -> np.ndarray:
        return np.clip(np.rint((_averaged(volume[part], factors) - low) / step), 0, LEVELS).astype(np.int16)

    def mask(volume: np.ndarray) -> np.ndarray:
        return (_averaged(volume[part].astype(np.float32), factors) >= 0.5).astype(np.uint8)

    prior, lesion, steps, changes = levels(case.prior), mask(case.lesion), [], [0.0]
    for one in case.steps:
        difference = levels(one.edit) - prior
        changed = np.abs(difference[difference != 0])
        changes.append(float(np.percentile(changed, 99)) * step if changed.size else 0.0)
        moved = None
        if one.displacement is not None and case.largest_mm > 0:
            shares = np.clip(_averaged(one.displacement[part], factors) / case.largest_mm, 0, 1)
            moved = _image(np.rint(shares * STEPS).astype(np.uint8), affine, case.largest_mm / STEPS)
        steps.append(
            {
                "name": one.name,
                "difference": _image(difference, affine, step),
                "region": _image(mask(one.region), affine),
                "displacement": moved,
            }
        )
    return {
        "prior": _image(prior, affine, step, low, PREPARED_NOTE),
        "lesion": _image(lesion, affine),
        "steps": steps,
        "shape": list(prior.shape),
        "bright": bright,
        "low": low,
        "top": top,
        "change": max(changes) or bright,
        "largest_mm": case.largest_mm,
        "start": _start(lesion, prior),
        "notes": _notes(case, part, factors, step, top),
    }


def _range(prior: np.ndarray) -> tuple[float, float, float]:
    """The lowest level, the upper end of the tissue and the highest level, scan units."""
    positive = prior[prior > 0]
    bright = float(np.percentile(positive, 99.5)) if positive.size else float(np.abs(prior).max(initial=0)) or 1.0
    top = min(float(prior.max()), REACH * bright) if positive.size else bright
    return max(min(float(prior.min()), 0.0), -top), bright, max(top, bright)


def _start(lesion: np.ndarray, prior: np.ndarray) -> list[int]:
    """The voxel deepest inside the lesion, in the axial slice that holds most of it; without one, of the head."""
    shown = lesion > 0 if lesion.any() else prior > prior.mean()
    height = lesion_planes(shown)[2]
    depth = ndimage.distance_transform_edt(np.pad(shown[:, :, height], 1))
    x, y = np.unravel_index(int(depth.argmax()), depth.shape)
    return [max(int(x) - 1, 0), max(int(y) - 1, 0), height]


def _head(case: ViewCase, bright: float) -> tuple[slice, ...]:
    """The box around what is not background, with a margin."""
    seen = (case.prior > DARK * bright) | case.lesion
    box = ndimage.find_objects(seen.astype(np.uint8))
    if not box:
        return tuple(slice(0, side) for side in case.prior.shape)
    return tuple(
        slice(max(one.start - MARGIN, 0), min(one.stop + MARGIN, side)) for one, side in zip(box[0], case.prior.shape)
    )


def _factors(part: Sequence[slice], affine: np.ndarray) -> tuple[int, ...]:
    """Over how many voxels of a part along each axis is averaged."""
    sides = np.array([one.stop - one.start for one in part])
    spacing, factors = np.linalg.norm(affine[:3, :3], axis=0), np.ones(3, dtype=int)
    while np.prod(np.ceil(sides / factors)) > MOST_VOXELS:
        factors[int((spacing * factors).argmin())] *= 2
    return tuple(int(one) for one in factors)


def _averaged(volume: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Means over blocks; those at the upper ends are filled up with the last voxels."""
    if set(factors) == {1}:
        return volume
    volume = np.pad(volume, [(0, -side % factor) for side, factor in zip(volume.shape, factors)], mode="edge")
    pairs = [part for side, factor in zip(volume.shape, factors) for part in (side // factor, factor)]
    return volume.reshape(pairs).mean(axis=(1, 3, 5))


def _moved(affine: np.ndarray, part: Sequence[slice], factors: Sequence[int]) -> np.ndarray:
    """The affine of a part whose voxels are means over blocks."""
    inner = np.diag([*map(float, factors), 1.0])
    inner[:3, 3] = [one.start + (factor - 1) / 2 for one, factor in zip(part, factors)]
    return np.asarray(affine @ inner)


def _notes(case: ViewCase, part: Sequence[slice], factors: Sequence[int], step: float, top: float) -> list[str]:
    notes = [
        f"Intensities are shown in {LEVELS + 1} levels, {step:.4g} apart, up to {top:.4g} of the scan's units; "
        f"brighter voxels are shown as that."
    ]
    whole = tuple(slice(0, side) for side in case.prior.shape)
    if tuple(part) != whole:
        sides = " × ".join(str(one.stop - one.start) for one in part)
        notes.append(f"Cut to the head: {sides} of {' × '.join(map(str, case.prior.shape))} voxels.")
    if max(factors) > 1:
        notes.append(
            f"Coarser than the scan: means over {' × '.join(map(str, factors))} voxels, as it has more than "
            f"{MOST_VOXELS / 1e6:.0f} million."
        )
    return notes


def _image(
    data: np.ndarray, affine: np.ndarray, slope: float = 1.0, inter: float = 0.0, note: str = SYNTHETIC_NOTE
) -> str:
    """A NIfTI image that a page can hold, the same text for the same voxels."""
    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header.set_slope_inter(slope, inter)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = note.encode()
    return base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode()

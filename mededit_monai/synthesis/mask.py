# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a mask of somebody's own to what the network is told, on its grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Transform
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import BRAIN_LABEL, TUMOR_LABELS
from mededit_monai.io.nifti import BINARY, Volume, binary_mask, read_volume, require_same_grid, whole_values
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.synthesis.labels import labels_on_grid, told_of, tumor_of

#: A brain around a tumour has more ml than that; what has less and is called one is something else.
SMALLEST_BRAIN_ML = 300.0

#: Share of a tumour within the brain below which that is said: a mask's edge may be a voxel off.
MOST_INSIDE = 0.9

WANTED = "1 (core), 2 (edema), 3 (enhancing) and 4 (the brain around them)"


class LoadLabeld(Transform):
    """
    Read a case's mask and check what it says.

    Input keys: ``label`` and perhaps ``brain``: paths. Output: ``volume``, the mask as a
    :class:`~mededit_monai.io.nifti.Volume`, ``labels`` uint8 XxYxZ (RAS) of 1 to 3 and 4 for the brain around them,
    and ``warnings``.

    Args:
        brats2021: label 4 of the mask is the enhancing tumour; its brain must come from ``brain``.

    Raises:
        InputError: unknown labels, an empty mask, no brain, a brain that is none, another grid, a tumour outside it.
    """

    def __init__(self, brats2021: bool = False) -> None:
        self.brats2021 = brats2021

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        volume = read_volume(case["label"])
        labels = known_labels(volume, self.brats2021)
        warnings, brain = list(volume.warnings), None
        if case.get("brain"):
            brain, told = _given_brain(Path(case["brain"]), volume)
            warnings += told
            labels = np.where((labels == 0) & brain, BRAIN_LABEL, labels)
        _require_brain(volume, labels, brain is not None)
        if brain is not None:
            warnings += _tumor_within(volume, tumor_of(labels), brain)
        return case | {"volume": volume, "labels": labels.astype(np.uint8), "warnings": warnings}


def known_labels(volume: Volume, brats2021: bool = False) -> np.ndarray:
    """
    A mask's labels, 4 the brain; XxYxZ uint8.

    Raises:
        InputError: fractions, other labels, an empty mask.
    """
    found = whole_values(volume)
    values = np.unique(found)
    allowed = (0, 1, 2, 4) if brats2021 else (0, *TUMOR_LABELS.values(), BRAIN_LABEL)
    strange = [float(value) for value in values if value not in allowed]
    if strange:
        hint = (
            "leave out --brats2021"
            if brats2021 and strange == [3.0]
            else "relabel it, and save it without interpolation"
        )
        wanted = "1 (core), 2 (edema) and 4 (enhancing), as --brats2021 says" if brats2021 else WANTED
        raise InputError(f"{volume.path}: holds the label {strange[0]:g}, wanted {wanted}; {hint}.")
    if not values.any():
        raise InputError(f"{volume.path}: is empty (every voxel is 0), wanted {WANTED}; give the mask of a brain.")
    return np.where(found == 4, 3, found).astype(np.uint8) if brats2021 else found.astype(np.uint8)


def _given_brain(path: Path, mask: Volume) -> tuple[np.ndarray, list[str]]:
    """The brain from a mask or a skull-stripped scan on the same grid, and warnings."""
    given = read_volume(path)
    apart = require_same_grid(given, mask)
    values = np.unique(whole_values(given)).tolist()
    binary = any(set(values) <= set(allowed) for allowed in BINARY)
    brain = binary_mask(given) if binary else brain_from_background(given)
    return brain, [*given.warnings, *([apart] if apart else [])]


def _tumor_within(mask: Volume, tumor: np.ndarray, brain: np.ndarray) -> list[str]:
    """A warning where much of the tumour lies outside the brain, in whose mask the tumour itself may be left out."""
    inside = float(ndimage.binary_fill_holes(brain)[tumor].mean()) if tumor.any() else 1.0
    if inside == 0:
        raise InputError(
            f"--brain: no voxel of the tumour of {mask.path} lies in it, wanted the brain of the same head; check that "
            "the two belong together."
        )
    share = f"{mask.path.name}: {100 * (1 - inside):.0f}% of the tumour lies outside the brain of --brain."
    return [share] if inside < MOST_INSIDE else []


def _require_brain(mask: Volume, labels: np.ndarray, given: bool) -> None:
    """Without its brain, what comes out is garbage: that a mask has one is made sure of."""
    voxel = mask.voxel_ml
    around, tumor = float((labels == BRAIN_LABEL).sum()) * voxel, float(tumor_of(labels).sum()) * voxel
    if around == 0:
        raise InputError(
            f"{mask.path}: has no brain around the tumour (label {BRAIN_LABEL}), and without it nothing but noise "
            f"comes out; give the brain's mask, or the skull-stripped scan, with --brain."
        )
    if around >= SMALLEST_BRAIN_ML:
        return
    if given:
        raise InputError(
            f"--brain: covers {around + tumor:.0f} ml, wanted a brain of at least {SMALLEST_BRAIN_ML:.0f} ml; check "
            f"that it is the whole brain's mask."
        )
    raise InputError(
        f"{mask.path}: label {BRAIN_LABEL} covers {around:.0f} ml, wanted the brain of at least "
        f"{SMALLEST_BRAIN_ML:.0f} ml; if it is the enhancing tumour, as in BraTS to 2021, give --brats2021 and --brain."
    )


class ToNetworkGridd(Transform):
    """
    Bring a loaded mask to the network's grid: adds ``condition``, (1+K)xNxNxD float32 (brain, and the tumour or its
    parts), and ``space``, the :class:`~mededit_monai.space.model_space.ModelSpace` of it.

    Args:
        side, depth: points N a side, and D along z; window: mm that a side covers; condition: ``mask`` or ``regions``.
    """

    def __init__(self, side: int, depth: int, window: int, condition: str) -> None:
        self.side, self.depth, self.window, self.condition = side, depth, window, condition

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        labels = case["labels"]
        space = ModelSpace.around_brain(labels > 0, case["volume"].affine, self.window, self.side, self.depth)
        on_grid = labels_on_grid(space, labels, parts=self.condition == "regions")
        odd = space.window_warnings(brain=labels > 0, tumour=tumor_of(labels))
        if odd:
            case["warnings"] = [*case.get("warnings", ()), *odd]
        return case | {"condition": told_of(on_grid, self.condition), "space": space}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesions that are drawn: an irregular ball around a point, and an infarct in an artery's territory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import STRATA, Disease
from mededit_monai.io.nifti import Volume
from mededit_monai.lesions.places import Places
from mededit_monai.lesions.territories import SIDES, TERRITORIES, territory_of
from mededit_monai.lesions.tissue import Tissue
from mededit_monai.lesions.wanted import Wanted
from mededit_monai.space.fields import smooth_noise
from mededit_monai.space.shapes import territory

#: Shares of the strata where none is asked for: quartiles, as in the thesis.
STRATUM_SHARES = (0.25, 0.5, 0.25)

#: So far within a stratum's bounds, as a factor of areas: a lesion stays in it in heads of 0.77 to 1.3 times the
#: template's volume.
MARGIN = 1.19

#: Borders of territories move by so many mm (standard deviation) from case to case, smoothly over so many mm.
BORDER_MM, BORDER_LENGTH_MM = 5.0, 12.0

#: Candidates for a centre, and the largest share of a side's territory that a lesion takes.
CANDIDATES, LARGEST_SHARE = 400, 0.8


def irregular(
    volume: Volume, inside: np.ndarray, centre: Any, radius: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    An irregular ball.

    Args:
        inside: the brain, bool XxYxZ RAS.
        centre: world mm; None: 30 mm to the right of the brain's centre and 15 mm above it.
        radius: mean, mm.
        seed: of the outline.

    Returns:
        the lesion (bool) and the labels of a tumour at its place (uint8), XxYxZ RAS: 1 necrotic core to 45 % of the
        radius, 3 enhancing rim to 65 %, 2 edema beyond.

    Raises:
        InputError: it has no voxel inside the brain.
    """
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
                f"{volume.path}: has voxels of {size} mm, and the middle of none lies in a lesion of radius "
                f"{radius:g} mm; wanted a radius of at least {max(spacing):g}."
            )
        if centre is None:
            raise InputError(
                f"{volume.path}: no centre was given, and the place 30 mm to the right of the middle of the brain and "
                f"15 mm above it lies outside the brain; give a centre inside it (world mm, RAS+)."
            )
        raise InputError(
            f"{volume.path}: the centre {centre} lies outside the brain; choose a point inside it (world mm, RAS+)."
        )
    return lesion, np.select([depth < 0.45, depth < 0.65], [1, 3], 2)


@dataclass(frozen=True)
class Infarct:
    """
    What was drawn in MNI space.

    Args:
        mask: bool XxYxZ on the tissue's points.
        centre: MNI mm that it was grown around.
        place: ``table`` (one of :class:`~mededit_monai.lesions.places.Places`) or ``rule`` (anywhere in the territory).
    """

    mask: np.ndarray
    stratum: str
    side: str
    territory: str
    centre: tuple[float, float, float]
    place: str


def infarct(wanted: Wanted, tissue: Tissue, disease: Disease, places: Places, seed: int, path: Path) -> Infarct:
    """
    A lesion in the territory of an artery, with its sulci but without ventricles.

    What is not asked for is drawn: the size evenly over the logarithm of the stratum's areas (a margin from its bounds,
    since heads differ in size), side and territory by how often strokes are there, the centre from the table's
    Gaussians where the rule agrees. It grows as ragged as drawn strokes of simulated volumes do
    (:func:`~mededit_monai.space.shapes.territory`), within the territory by the rule, whose borders differ from case to
    case.

    Args:
        tissue: of the scan in MNI space.
        seed: decides everything that is drawn.
        path: of the scan, for messages.

    Raises:
        InputError: there is no tissue of that territory in the brain.
    """
    rng = np.random.default_rng(seed)
    stratum = wanted.stratum or STRATA[int(rng.choice(3, p=STRATUM_SHARES))]
    side, name = places.choose(stratum, wanted.side, wanted.territory, rng)
    low, high = disease.bounds_mm2(stratum)
    radius = float(np.sqrt(np.exp(rng.uniform(np.log(low * MARGIN), np.log(high / MARGIN))) / np.pi))
    room = _room(tissue, side, name, rng)
    solid = room & (tissue.fluid < 0.5)
    if not solid.any():
        raise InputError(
            f"{path}: the brain shows no tissue of the territory {name} on the {side}; ask for another territory or "
            f"side."
        )
    radius = min(radius, (3 * LARGEST_SHARE * int(room.sum()) / (4 * np.pi)) ** (1 / 3))
    centre, place = _centre(tissue, solid, places.centres(name, stratum, side, CANDIDATES, rng), rng)
    mask = territory(room, centre, radius, 1.0, tissue.gray, rng)
    x, y, z = (float(n) for n in tissue.points(centre[None])[0])
    return Infarct(mask, stratum, side, name, (x, y, z), place)


def _room(tissue: Tissue, side: str, name: str, rng: np.random.Generator) -> np.ndarray:
    """Where a side's territory is, bool XxYxZ, its borders moved a little."""
    found = np.zeros_like(tissue.brain)
    candidates = tissue.brain & ~tissue.ventricles
    jitter = np.stack([smooth_noise(found.shape, BORDER_LENGTH_MM, rng) for _ in range(3)], axis=-1)
    voxels = np.argwhere(candidates)
    points = tissue.points(voxels)
    own = (points[:, 0] > 0) == (side == SIDES[1])
    voxels, points = voxels[own], points[own]
    inside = territory_of(points, BORDER_MM * jitter[tuple(voxels.T)]) == TERRITORIES.index(name)
    found[tuple(voxels[inside].T)] = True
    return found


def _centre(
    tissue: Tissue, solid: np.ndarray, candidates: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """The first candidate (MNI mm) that lies in the territory's tissue, as a voxel; else any voxel of it."""
    voxels = np.rint(candidates - tissue.affine[:3, 3]).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < solid.shape)).all(axis=1)]
    good = voxels[solid[tuple(voxels.T)]]
    if len(good):
        return good[0], "table"
    places = np.flatnonzero(solid)
    return np.array(np.unravel_index(places[rng.integers(len(places))], solid.shape)), "rule"

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Where strokes are: how many lesions each territory and side has, and around which places their centres lie.

``places.json`` was computed by ``python -m studies.lesion_places`` from masks of real strokes. It holds counts and a
few Gaussians a territory, no mask. The same is computed from any other folder of masks in MNI space.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.lesions.masks import masks_in, read_mask
from mededit_monai.lesions.territories import SIDES, TERRITORIES, shares_of, side_of
from mededit_monai.simulation.lesion_library import LARGEST_ML, set_voxels

SHIPPED = Path(__file__).with_name("places.json")

#: Gaussians of a territory and stratum at most, the fewest lesions for each, and mm² added to their variances.
MOST_GAUSSIANS, LESIONS_EACH, LEAST_VARIANCE = 4, 12, 9.0


@dataclass(frozen=True)
class Gaussian:
    """A cloud of centres on the right side (left ones mirrored): share of them, mean in MNI mm, covariance in mm²."""

    weight: float
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Places:
    """
    Args:
        about: what it was made from.
        counts: (territory, side, stratum) → lesions.
        clouds: (territory, stratum) → Gaussians; none where there are too few lesions.
    """

    about: str
    counts: dict[tuple[str, str, str], int]
    clouds: dict[tuple[str, str], list[Gaussian]]

    def choose(
        self, stratum: str, side: str | None, territory: str | None, rng: np.random.Generator
    ) -> tuple[str, str]:
        """Side and territory, in proportion to their lesions where they are not given."""
        pairs = [(s, t) for s in SIDES for t in TERRITORIES if (side is None or s == side) and territory in (None, t)]
        weights = np.array([self.counts.get((t, s, stratum), 0) for s, t in pairs], float)
        weights = weights if weights.any() else np.ones(len(pairs))
        return pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]

    def centres(self, territory: str, stratum: str, side: str, count: int, rng: np.random.Generator) -> np.ndarray:
        """Candidates for a centre, MNI mm, count x 3; none where nothing is known."""
        clouds = self.clouds.get((territory, stratum), [])
        if not clouds:
            return np.zeros((0, 3))
        weights = np.array([one.weight for one in clouds])
        chosen = rng.choice(len(clouds), size=count, p=weights / weights.sum())
        roots = [np.linalg.cholesky(np.array(one.covariance)) for one in clouds]
        means = np.array([one.mean for one in clouds])
        noise = rng.standard_normal((count, 3))
        found = means[chosen] + np.einsum("nij,nj->ni", np.array(roots)[chosen], noise)
        found[:, 0] = np.abs(found[:, 0]) * (1 if side == "right" else -1)
        return found

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        tables: dict[str, Any] = {}
        for territory in TERRITORIES:
            one = tables.setdefault(territory, {})
            for stratum in STRATA:
                clouds = self.clouds.get((territory, stratum), [])
                one[stratum] = {side: self.counts.get((territory, side, stratum), 0) for side in SIDES}
                one[stratum]["gaussians"] = [[c.weight, list(c.mean), [list(r) for r in c.covariance]] for c in clouds]
        return {"about": self.about, "territories": tables}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Places:
        """From what :meth:`as_json` made."""
        counts, clouds = {}, {}
        for territory, strata in content["territories"].items():
            for stratum, one in strata.items():
                counts |= {(territory, side, stratum): int(one[side]) for side in SIDES}
                clouds[territory, stratum] = [
                    Gaussian(w, tuple(m), tuple(map(tuple, c))) for w, m, c in one["gaussians"]
                ]
        return cls(content["about"], counts, clouds)


def shipped() -> Places:
    """Those that come with the program."""
    return Places.from_json(json.loads(SHIPPED.read_text(encoding="utf-8")))


def places_of(
    folder: str | Path, about: str = "", watch: Callable[[np.ndarray, np.ndarray, str], None] | None = None
) -> Places:
    """
    Count the lesions of a folder and find where their centres lie.

    A lesion counts for the territory that most of it is in and for its side; one on both sides (less than 80 % on one),
    or of more than 250 ml, is left out. Its centre is the point of it that is nearest to its centre of mass.

    Args:
        folder: binary masks in MNI space.
        about: what they are; else the folder's name.
        watch: called with the points of every lesion that counts (MNI mm, Nx3), the volume of one (mm³) and the
            territory.

    Raises:
        InputError: no such folder, or no usable mask in it.
    """
    folder = user_path(folder)
    files = masks_in(folder) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: holds no NIfTI masks, wanted a folder of lesion masks in MNI space; give another.")
    counts: dict[tuple[str, str, str], int] = {}
    centres: dict[tuple[str, str], list[np.ndarray]] = {}
    for path in files:
        given = read_mask(path, in_mni=True)
        points = set_voxels(given.voxels) @ given.affine[:3, :3].T + given.affine[:3, 3]
        voxel = abs(np.linalg.det(given.affine[:3, :3]))
        ml, side = len(points) * voxel / 1000, side_of(points[:, 0])
        if ml > LARGEST_ML or side == "both":
            continue
        territory, stratum = next(iter(shares_of(points))), DISEASES["stroke"].stratum_of_volume(ml)
        counts[territory, side, stratum] = counts.get((territory, side, stratum), 0) + 1
        centre = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
        centres.setdefault((territory, stratum), []).append(centre * [1 if side == "right" else -1, 1, 1])
        if watch is not None:
            watch(points, voxel, territory)
    clouds = {}
    for territory in TERRITORIES:
        every = [centre for stratum in STRATA for centre in centres.get((territory, stratum), [])]
        for stratum in STRATA:
            own = centres.get((territory, stratum), [])
            clouds[territory, stratum] = _clouds(own if len(own) >= LESIONS_EACH else every)
    return Places(about or f"{sum(counts.values())} masks of the folder {folder.name}", counts, clouds)


def _clouds(centres: Sequence[np.ndarray]) -> list[Gaussian]:
    """The mixture of Gaussians with the best Bayesian information criterion, the heaviest first."""
    if len(centres) < LESIONS_EACH:
        return []
    from sklearn.mixture import GaussianMixture  # takes a second to import

    points = np.array(centres)
    fits = [
        GaussianMixture(count, reg_covar=LEAST_VARIANCE, n_init=3, random_state=0).fit(points)
        for count in range(1, min(MOST_GAUSSIANS, len(points) // LESIONS_EACH) + 1)
    ]
    best = min(fits, key=lambda fit: fit.bic(points))
    order = np.argsort(-best.weights_)
    return [
        Gaussian(
            round(float(best.weights_[k]), 3),
            tuple(best.means_[k].round(1).tolist()),
            tuple(map(tuple, best.covariances_[k].round(1).tolist())),
        )
        for k in order
    ]

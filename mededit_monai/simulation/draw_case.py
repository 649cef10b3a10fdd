# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a planned case to its pair: which lesion, at which height, drawn until something is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import STRATA, Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.effects import draw_atrophy
from mededit_monai.simulation.lesion_library import HEIGHTS, LesionLibrary
from mededit_monai.simulation.pair import MakeLesion, simulate_pair
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.prepared import PreparedAnatomy, sample
from mededit_monai.space.fields import blur

#: Shares of the strata: quartiles, as in the thesis.
STRATUM_SHARES = (0.25, 0.5, 0.25)

#: Draws of a person and a lesion before giving up.
MOST_DRAWS = 60


@dataclass
class LesionPool:
    """Real lesions of one split: the library and the numbers that belong to the split; None draws them."""

    library: LesionLibrary | None = None
    members: tuple[int, ...] = ()
    _found: dict = field(default_factory=dict, repr=False)

    def fitting(self, disease: Disease, stratum: str, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Which lesions have a stratum's size at which height.

        Returns:
            bool, members x heights, and the members (places in the list) that fit anywhere.
        """
        key = disease.name, stratum, len(heights)
        if key not in self._found:
            areas = self.library.areas[np.array(self.members)][:, np.searchsorted(HEIGHTS, heights)]
            low, high = disease.bounds_mm2(stratum)
            labelled = self.library.labelled[np.array(self.members)]
            share = np.where(labelled, 1.0, disease.given_share)[:, None]
            margin = 1.4 if stratum == "large" else 1.0  # brain and ventricles cut a part of a large mask off
            fitting = (areas >= share * margin * low) & (areas <= share * margin * high)
            if not fitting.any():
                fitting = areas > 0
            self._found[key] = fitting, np.flatnonzero(fitting.any(axis=1))
        return self._found[key]

    def require_any(self, recipe: Recipe, split: str) -> None:
        """
        Refuse a pool whose lesions all lie beside the heights that a recipe draws from.

        They are not left out before masks are divided among the splits: that would move lesions of cohorts that were
        made already to other splits.

        Raises:
            InputError: none has a voxel there.
        """
        heights = heights_of(recipe)
        if self.library is None:
            return
        if (self.library.areas[np.array(self.members, int)][:, np.searchsorted(HEIGHTS, heights)] > 0).any():
            return
        names = [self.library.names[number] for number in self.members]
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        span = f"{heights[0]:g}" if len(heights) == 1 else f"{heights[0]:g} to {heights[-1]:g}"
        raise InputError(
            f"--lesions: none of the masks of {split} ({shown}) reaches the heights that are drawn (--slice "
            f"{recipe.slice}: MNI z {span} mm), wanted at least one; add masks that do, or take away those that do not."
        )


def heights_of(recipe: Recipe) -> np.ndarray:
    """Heights that a recipe's slices may have, MNI mm."""
    disease = recipe.record
    return np.array([disease.middle]) if recipe.slice == "mid" else np.arange(*disease.heights, dtype=float)


def draw_case(recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool) -> dict:
    """
    Simulate a planned case; the same bytes for the same recipe, split and index.

    Returns:
        the pair of :func:`simulate_pair`; ``lesion_id``, ``patient``, ``stratum``, ``case_id`` among its parameters.

    Raises:
        InputError: if no draw gave a lesion inside the brain (an anatomy that holds nearly no tissue).
    """
    chosen, pair = drawn_choice(recipe, case, anatomy, pool)
    found = pair["parameters"]
    found["stratum"] = found["stratum"] or chosen.stratum
    found |= {"case_id": case.case_id, "split": case.split, "seed": recipe.seed, "lesion_id": chosen.lesion_id}
    found |= {"patient": f"{anatomy.name}__{case.case_id}", "draws": chosen.draws.attempt + 1, "synthetic": True}
    return pair


@dataclass
class Chosen:
    """One attempt at a case: its streams, the lesion's stratum and name, its height (None: a volume) and its maker."""

    draws: Draws
    stratum: str
    lesion_id: str
    height: float | None
    make: MakeLesion

    def arguments(self, recipe: Recipe, case: Case) -> tuple:
        """What :func:`simulate_pair` takes after disease and anatomy."""
        atrophy = draw_atrophy(self.draws, recipe.atrophy_share(case.split))
        return self.height, self.make, self.draws, recipe.slice == "all", atrophy


def drawn_choice(recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool) -> tuple[Chosen, dict]:
    """
    The first attempt at a case that gives a pair, and the pair.

    Raises:
        InputError: if none does.
    """
    for chosen in choices(recipe, case, pool):
        pair = simulate_pair(recipe.record, anatomy, *chosen.arguments(recipe, case))
        if pair is not None:
            return chosen, pair
    raise InputError(
        f"{anatomy.name}: {MOST_DRAWS} draws gave no lesion inside the brain ({case.case_id}), wanted one; leave this "
        f"anatomy out of --anatomies."
    )


def choices(recipe: Recipe, case: Case, pool: LesionPool) -> Iterator[Chosen]:
    """The attempts at a case, one after the other; all for lesions of one stratum."""
    draws = Draws(recipe.seed, case.split, case.index)
    stratum = STRATA[int(draws.of("choice").choice(3, p=STRATUM_SHARES))]
    for attempt in range(MOST_DRAWS):
        yield _choose(recipe, case, stratum, pool, replace(draws, attempt=attempt))


def _choose(recipe: Recipe, case: Case, stratum: str, pool: LesionPool, draws: Draws) -> Chosen:
    """Choose a lesion of a stratum."""
    disease, rng = recipe.record, draws.of("choice", 1)
    low, high = disease.bounds_mm2(stratum)
    flat = recipe.spatial_dims == 2
    heights = heights_of(recipe)
    if pool.library is None:
        height = float(heights[rng.integers(len(heights))]) if flat else None
        size_mm = float(np.sqrt(np.exp(rng.uniform(np.log(low), np.log(high))) / np.pi))
        drawn = f"drawn_{case.case_id}"
        return Chosen(draws, stratum, drawn, height, lambda canvas, r: disease.draw_lesion(canvas, size_mm, r))
    fitting, rows = pool.fitting(disease, stratum, heights)
    row = int(rows[rng.integers(len(rows))])
    columns = np.flatnonzero(fitting[row])
    height = float(heights[columns[rng.integers(len(columns))]]) if flat else None
    mask, origin = pool.library.mask(pool.members[row])
    mirror = bool(rng.random() < 0.5)

    def make(canvas: Canvas, r: np.random.Generator) -> Drawn:
        carried = np.where(canvas.brain, carry(mask, origin, canvas, mirror), 0).astype(np.uint8)
        regions, drawn = disease.given_lesion(canvas, carried, r)
        return regions, drawn | {"mirrored": mirror}

    return Chosen(draws, stratum, pool.library.names[pool.members[row]], height, make)


def carry(mask: np.ndarray, origin: np.ndarray, canvas: Canvas, mirror: bool) -> np.ndarray:
    """
    A lesion in MNI space on a person's canvas.

    Args:
        mask: uint8 labels, 1 mm; origin: MNI mm of its first voxel.
        mirror: to the other hemisphere.

    Returns:
        uint8 S; smoothed by 0.8 mm, which takes off the steps of the hand-drawn or resampled outline.
    """
    points = canvas.mni.copy()
    if mirror:
        points[0] *= -1
    points -= (origin - 1).astype(np.float32).reshape(3, *[1] * (points.ndim - 1))  # one voxel of margin
    size = np.array(mask.shape) + 2
    reached = np.logical_and.reduce([(p >= 0) & (p <= n - 1) for p, n in zip(points, size)])
    shares = np.zeros((int(mask.max()), *reached.shape), np.float32)
    if reached.any():
        where = points[:, reached]
        low, high = int(where[2].min()), int(np.ceil(where[2].max())) + 1
        part = np.pad(mask, 1)[:, :, low : high + 1]  # only the heights in sight
        where[2] -= low
        labels = np.arange(1, len(shares) + 1, dtype=np.uint8)
        shares[:, reached] = sample(part[..., None] == labels, where)
    shares = np.stack([blur(share, 0.8 / canvas.spacing) for share in shares])
    return np.where(shares.sum(axis=0) >= 0.5, shares.argmax(axis=0) + 1, 0).astype(np.uint8)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes around a lesion on fine grids, what the painter of volumes learns from: the displaced scan, and the lesion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.simulation.appearance import draw_scanner, paint_tissue
from mededit_monai.simulation.draw_case import MOST_DRAWS, LesionPool, choices
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.effects import Effects, draw_effects
from mededit_monai.simulation.pair import REACH_MM, draw_scene, kept_lesion
from mededit_monai.simulation.plan import VIEWS, Case, Recipe
from mededit_monai.simulation.prepared import FAR_MM, PreparedAnatomy
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.shapes import around

#: Points a side of a crop, and the mm of a step: of half of the persons 1, of the others up to 1.9 (even in log).
CROP_SIDE, STEPS = 64, (1.0, 1.9)


@dataclass(frozen=True)
class Person:
    """A person with a lesion, on a fine grid: what several crops look at."""

    canvas: Canvas
    regions: np.ndarray
    effects: Effects
    parameters: dict


_last: tuple[tuple, Person] | None = None  # of this process: crops of a person follow each other


def draw_crop(recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool) -> dict:
    """
    Simulate a planned crop; the same bytes for the same recipe, split and index.

    ``VIEWS`` neighbouring cases look at one person and lesion, each somewhere else, with another contrast, look of the
    lesion and scanner.

    Returns:
        ``image`` and ``displaced`` (float32 in [0, 1]: with the lesion, and the scan whose tissue has made way for it),
        ``brain``, ``pathology`` (bool), ``regions`` (uint8) if the disease has labels; ``CROP_SIDE`` points a side;
        and ``parameters``, with ``spacing_mm``.

    Raises:
        InputError: if no draw gave a lesion inside the brain.
    """
    global _last
    key = recipe, case.split, case.index // VIEWS
    if _last is None or _last[0] != key:
        _last = None  # frees a gigabyte before the next is drawn
        _last = key, _person(recipe, replace(case, index=case.index // VIEWS), anatomy, pool)
    person = _last[1]
    crop = _view(recipe.record, person, Draws(recipe.seed, f"{case.split} crop", case.index))
    crop["parameters"] |= {"case_id": case.case_id, "split": case.split, "seed": recipe.seed, "synthetic": True}
    return crop


def _person(recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool) -> Person:
    disease = recipe.record
    for chosen in choices(recipe, case, pool):
        rng = chosen.draws.of("choice", 2)
        step = STEPS[0] if rng.random() < 0.5 else float(np.exp(rng.uniform(*np.log(STEPS))))
        _, make, draws, wide, atrophy = chosen.arguments(recipe, case)
        scene = draw_scene(disease, anatomy, None, make, draws, wide, step)
        if scene is None:
            continue
        canvas, lesion, drawn = scene
        effects = draw_effects(disease, canvas, lesion, draws, atrophy)
        kept = kept_lesion(lesion, effects.warp(canvas.ventricles), canvas.brain)
        if kept.any():
            parameters = {"disease": disease.name, **canvas.parameters, **drawn, **effects.drawn}
            parameters |= {"lesion_id": chosen.lesion_id, "stratum": chosen.stratum, "global_atrophy": atrophy}
            parameters |= {"patient": f"{anatomy.name}__{case.case_id}", "spacing_mm": step}
            return Person(canvas, np.where(kept, lesion, 0).astype(np.uint8), effects, parameters)
    raise InputError(
        f"{anatomy.name}: {MOST_DRAWS} draws gave no lesion inside the brain ({case.case_id}), wanted one; leave this "
        f"anatomy out of --anatomies."
    )


def _view(disease: Disease, person: Person, draws: Draws) -> dict:
    """One crop of a person."""
    step, pull = person.canvas.spacing, person.effects.pull
    centre = _centre(person.regions, draws.of("choice"))
    inner = tuple(slice(c - CROP_SIDE // 2, c + CROP_SIDE // 2) for c in centre)
    margin = int(np.ceil(REACH_MM / step))
    reach = margin + int(np.ceil(np.abs(_cut(pull, _wider(inner, margin))).max(initial=0))) + 1
    outer = _wider(inner, reach)
    canvas = _part(person.canvas, outer)
    clean, contrast, looks = paint_tissue(canvas, disease.gadolinium, draws.of("looks"))
    moved = Effects(_cut(pull, outer), tuple(slice(0, n) for n in clean.shape), 1.0, {})
    displaced = moved.warp(clean[None])[0]
    regions = _cut(person.regions, outer)
    painted, texture = displaced.copy(), {}
    if regions.any():
        near = around(regions > 0, margin)
        painted[near], texture = disease.paint_lesion(displaced[near], regions[near], contrast, step, draws.of("paint"))
    scanner = draw_scanner(canvas, draws.of("scanner"))
    core = tuple(slice(reach, reach + CROP_SIDE) for _ in centre)
    ceiling = _ceiling(disease, person.canvas, draws)
    brain = canvas.brain[core]
    crop = {
        "image": to_unit(scanner(painted)[core], ceiling) * brain,
        "displaced": to_unit(scanner(displaced)[core], ceiling) * brain,
        "brain": brain,
        "pathology": (regions[core] > 0) & brain,
    }
    if disease.labels:
        crop["regions"] = np.where(brain, regions[core], 0).astype(np.uint8)
    crop["parameters"] = person.parameters | {
        "appearance": looks,
        "scanner": scanner.parameters,
        "lesion_appearance": texture,
        "centre": [int(c) for c in centre],
        "lesion_points": int(crop["pathology"].sum()),
    }
    return crop


def _centre(regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A point near the lesion: one of it, of a random region, so that small ones are seen; moved by up to 10 points."""
    label = rng.choice(np.unique(regions[regions > 0]))
    inside = np.flatnonzero(regions == label)
    point = np.unravel_index(inside[rng.integers(len(inside))], regions.shape)
    return np.array(point) + rng.integers(-10, 11, regions.ndim)


def _wider(box: tuple[slice, ...], margin: int) -> tuple[slice, ...]:
    return tuple(slice(side.start - margin, side.stop + margin) for side in box)


def _cut(array: np.ndarray, box: tuple[slice, ...], outside: float = 0) -> np.ndarray:
    """The last axes of an array within a box, which may reach beyond the array."""
    lead, sides = array.ndim - len(box), array.shape[array.ndim - len(box) :]
    kept = tuple(slice(max(0, min(s.start, n)), max(0, min(s.stop, n))) for s, n in zip(box, sides))
    shape = (*array.shape[:lead], *(s.stop - s.start for s in box))
    found = np.full(shape, outside, array.dtype)
    put = tuple(slice(k.start - s.start, k.stop - s.start) for k, s in zip(kept, box))
    found[(..., *put)] = array[(..., *kept)]
    return found


def _part(canvas: Canvas, box: tuple[slice, ...]) -> Canvas:
    """A box of a canvas; beyond the canvas there is nothing."""
    sides = canvas.depth.shape
    places = [np.clip(np.arange(s.start, s.stop), 0, n - 1) for s, n in zip(box, sides)]
    return Canvas(
        _cut(canvas.fractions, box),
        _cut(canvas.depth, box, -FAR_MM),
        _cut(canvas.brain, box),
        canvas.mni[(slice(None), *np.ix_(*places))],
        canvas.spacing,
        None if canvas.intensity is None else _cut(canvas.intensity, box),
        canvas.parameters,
    )


def _ceiling(disease: Disease, canvas: Canvas, draws: Draws) -> float:
    """What becomes 1: the percentile of the stripped slice with the most brain in the model's window, as of a scan."""
    z = int(canvas.brain.sum(axis=(0, 1)).argmax())
    plane = Canvas(
        canvas.fractions[..., z],
        canvas.depth[..., z],
        canvas.brain[..., z],
        canvas.mni[..., z],
        canvas.spacing,
        None if canvas.intensity is None else canvas.intensity[..., z],
        canvas.parameters,
    )
    shown, _, _ = paint_tissue(plane, disease.gadolinium, draws.of("looks"))
    shown = (draw_scanner(plane, draws.of("scanner"))(shown) * plane.brain).ravel()
    around_it = max(0, int((disease.window / canvas.spacing) ** 2) - shown.size)
    return intensity_ceiling(np.concatenate([shown, np.zeros(around_it, shown.dtype)]), disease.percentile)

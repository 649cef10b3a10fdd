# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whole heads on several modalities with a tumour, and their labels: what semantic synthesis learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded at their first use
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import BRAIN_LABEL, TUMOR_LABELS, t2_means, tumor_levels
from mededit_monai.simulation.appearance import draw_scanner, paint_labels, t1_means
from mededit_monai.simulation.draw_case import MOST_DRAWS, LesionPool, choices
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.effects import draw_effects
from mededit_monai.simulation.frame import place
from mededit_monai.simulation.pair import draw_scene, jitter_of, kept_lesion
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.prepared import PreparedAnatomy
from mededit_monai.space.fields import grain, smooth_noise
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.shapes import soften

#: Points a side of the grid that heads are drawn on, over the model's window; smaller cubes are its averages.
DRAWN_SIDE = 128

#: Share of the tumours with blood in them.
BLOOD = 0.3

#: How much an enhancing rim counts on a coarser grid, beside core and edema.
RIM_COUNTS = 2


def draw_heads(recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool) -> dict:
    """
    Simulate a planned head on every modality of the recipe; the same bytes for the same recipe, split and index.

    All modalities show one anatomy after one displacement, one tumour and one texture: they are consistent by
    construction. Each has its own contrast, field and noise.

    Returns:
        an image for each of ``recipe.modalities`` (float32 in [0, 1], 0 outside the brain) and ``label`` (uint8: 1
        core, 2 edema, 3 enhancing, 4 the brain around them), ``recipe.side`` points a side; and ``parameters``.

    Raises:
        InputError: if no draw gave a tumour inside the brain.
    """
    disease = recipe.record
    for chosen in choices(recipe, case, pool):
        _, make, draws, wide, atrophy = chosen.arguments(recipe, case)
        scene = draw_scene(disease, anatomy, None, make, draws, wide)
        if scene is None:
            continue
        canvas, lesion, drawn = scene
        effects = draw_effects(disease, canvas, lesion, draws, atrophy)
        kept = kept_lesion(lesion, effects.warp(canvas.ventricles), canvas.brain)
        if not kept.any():
            continue
        regions = np.where(kept, lesion, 0).astype(np.uint8)
        parts = TumorParts.drawn(regions, canvas.spacing, draws.of("paint"))
        jitter = jitter_of(draws, 3)
        found, looks = {}, {}
        for number, name in enumerate(recipe.modalities or ()):
            means = _means(name, draws)
            clean = paint_labels(canvas, means, name == "t1ce", draws.of("looks", 1))
            levels = tumor_levels(name, means, draws.of("paint", 1))
            painted = parts.on(effects.warp(clean[None])[0], levels)
            image = draw_scanner(canvas, draws.of("scanner", number))(np.maximum(painted, 0)) * canvas.brain
            found[name] = _unit(_cube(image, jitter), disease.percentile, recipe.side)
            looks[name] = {"means": {key: round(value, 4) for key, value in means.items()}, "tumor": levels}
        labels = _cube(np.where(canvas.brain & (regions == 0), BRAIN_LABEL, regions * canvas.brain), jitter)
        found["label"] = shrunk_labels(labels, recipe.side)
        parameters = {"disease": disease.name, **canvas.parameters, **drawn, **effects.drawn, "appearance": looks}
        parameters |= {"lesion_id": chosen.lesion_id, "stratum": chosen.stratum, "global_atrophy": atrophy}
        parameters |= {"patient": f"{anatomy.name}__{case.case_id}", "spacing_mm": disease.window / recipe.side}
        parameters |= {"case_id": case.case_id, "split": case.split, "seed": recipe.seed, "synthetic": True}
        return found | {"parameters": parameters}
    raise InputError(
        f"{anatomy.name}: {MOST_DRAWS} draws gave no tumour inside the brain ({case.case_id}), wanted one; leave this "
        f"anatomy out of --anatomies."
    )


@dataclass(frozen=True)
class TumorParts:
    """
    Which share of every point is which part of a tumour, whatever the modality.

    Args:
        edema, core, enhancing, blood: in [0, 1], S, in the order in which they are laid over one another.
        mottle: relative unevenness of what is painted, S, about 0.
    """

    edema: np.ndarray
    enhancing: np.ndarray
    core: np.ndarray
    blood: np.ndarray
    mottle: np.ndarray

    @classmethod
    def drawn(cls, regions: np.ndarray, step: float, rng: np.random.Generator) -> TumorParts:
        """
        Args:
            regions: uint8 S: 1 core, 2 edema, 3 enhancing; step: mm of a grid step.
        """
        mottle, coarse = smooth_noise(regions.shape, 4.0 / step, rng), smooth_noise(regions.shape, 8.0 / step, rng)
        mild = float(rng.uniform(0.55, 0.95))  # edema lets what it soaks shine through
        edema = mild * soften(regions > 0, float(rng.uniform(0.9, 1.6)) / step) * np.clip(1 + 0.35 * mottle, 0, 1.2)
        taken = np.clip(float(rng.uniform(0.75, 1.0)) + float(rng.uniform(0.1, 0.3)) * coarse, 0.2, 1.0)
        enhancing = taken * soften(regions % 2 == 1, float(rng.uniform(0.5, 0.9)) / step)
        inward = scipy.ndimage.distance_transform_edt(regions == 1, sampling=step)
        leak = float(rng.uniform(0.0, 0.5)) * np.exp(-inward / float(rng.uniform(0.8, 2.5)))
        core = soften(regions == 1, float(rng.uniform(0.4, 0.8)) / step) * (1 - leak)
        blood = np.zeros_like(core)
        if rng.random() < BLOOD:
            spots = smooth_noise(regions.shape, float(rng.uniform(2.5, 5.0)) / step, rng) > rng.uniform(1.2, 1.8)
            blood = 0.85 * soften(spots & (regions % 2 == 1), 0.6 / step)
        uneven = float(rng.uniform(0.03, 0.1)) * mottle + 0.03 * grain(regions.shape, 0.9 / step, rng)
        return cls(np.clip(edema, 0, 1), enhancing, core, blood, uneven)

    def on(self, image: np.ndarray, levels: dict[str, float]) -> np.ndarray:
        """The displaced image S of one modality with the tumour at its levels; float32."""
        for name in ("edema", "enhancing", "core", "blood"):
            share = getattr(self, name)
            image = image + share * (levels[name] * (1 + self.mottle) - image)
        return image.astype(np.float32)


def shrunk_labels(labels: np.ndarray, side: int) -> np.ndarray:
    """
    A cube of labels on a coarser grid: what covers most of a point, where an enhancing rim, which is thin, counts
    :data:`RIM_COUNTS` times within the tumour.

    Args:
        labels: uint8, a cube, of :data:`~mededit_monai.diseases.modalities.TUMOR_LABELS` and the brain's; side: points
            of a side, at most as many.
    """
    if side == labels.shape[0]:
        return labels.astype(np.uint8)
    kinds = (*TUMOR_LABELS.values(), BRAIN_LABEL, 0)
    planes = torch.from_numpy(np.stack([labels == kind for kind in kinds]).astype(np.float32))
    shares = torch.nn.functional.adaptive_avg_pool3d(planes[None], side)[0].numpy()
    tumor, rest = shares[:3], shares[3:]
    part = (tumor * np.float32([[[[1]]], [[[1]]], [[[RIM_COUNTS]]]])).argmax(axis=0)
    whole = tumor.sum(axis=0)
    found = np.where(whole >= rest.max(axis=0), np.take(kinds, part), np.take(kinds[3:], rest.argmax(axis=0)))
    return np.where(whole > 0, found, np.take(kinds[3:], rest.argmax(axis=0))).astype(np.uint8)


def _means(name: str, draws: Draws) -> dict[str, float]:
    """Means of the tissues; those of T1 are the same with and without contrast agent, but for what takes it."""
    if name in ("t1", "t1ce"):
        return t1_means(name == "t1ce", draws.of("looks"))
    return t2_means(name, draws.of("looks", 2))


def _cube(array: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    return place(array, (DRAWN_SIDE,) * 3, jitter)


def _unit(cube: np.ndarray, percentile: float, side: int) -> np.ndarray:
    """In [0, 1] by the percentile of the whole volume, on the coarser grid."""
    small = torch.nn.functional.adaptive_avg_pool3d(torch.from_numpy(np.ascontiguousarray(cube))[None, None], side)
    image = small[0, 0].numpy()
    return to_unit(image, intensity_ceiling(image, percentile))

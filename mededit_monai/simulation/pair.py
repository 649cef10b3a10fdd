# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
One simulated pair: a person, a lesion, its indirect effects, and the scan with and without it; 2-D or 3-D.

Both images share anatomy, contrast, texture, field and noise. They differ where the lesion is and where it displaces
tissue, and nowhere else by a single bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import TISSUE_LABELS, Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.appearance import draw_scanner, paint_tissue
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.effects import Effects, draw_effects
from mededit_monai.simulation.frame import VOLUME_SHAPE, to_model
from mededit_monai.simulation.person import draw_person
from mededit_monai.simulation.prepared import PreparedAnatomy
from mededit_monai.space.shapes import around, tidy

#: What a lesion looks like ends this many mm from it.
REACH_MM = 6

#: (canvas, rng) → the lesion to put there, uint8 S.
MakeLesion = Callable[[Canvas, np.random.Generator], Drawn]


def simulate_pair(
    disease: Disease,
    anatomy: PreparedAnatomy,
    height: float | None,
    make_lesion: MakeLesion,
    draws: Draws,
    wide: bool = True,
    global_atrophy: float = 0.0,
) -> dict | None:
    """
    Simulate one pair on the model's grid.

    Args:
        height: MNI z (mm) of the slice; None for a volume (128x128x112 at the model's pixel size).
        make_lesion: draws the lesion on the person's canvas.
        draws: the case's random numbers.
        wide: heads tilted as in scanners; False for registered data.
        global_atrophy: remote atrophy, from 0 (none) to 1, beside the lesion's own effects.

    Returns:
        None if the lesion came out empty, else ``image``, ``prior`` (float32 in [0, 1]), ``brain``, ``prior_brain``,
        ``pathology``, ``reached`` (what may differ between the two; bool), ``ventricles``, ``prior_ventricles`` (uint8,
        1 left and 2 right), ``tissue``, ``prior_tissue`` (uint8, 1 fluid, 2 gray and 3 white matter; 0 in lateral
        ventricles, vessels and lesion, and outside the brain), ``displacement`` (3x…, mm RAS: image(r) shows
        prior(r + u(r))), ``regions`` (uint8) if the disease has labels, and ``parameters``.
    """
    scene = draw_scene(disease, anatomy, height, make_lesion, draws, wide)
    if scene is None:
        return None
    canvas, lesion, drawn = scene
    effects = draw_effects(disease, canvas, lesion, draws, global_atrophy)
    clean, contrast, looks = paint_tissue(canvas, disease.gadolinium, draws.of("looks"))
    before = np.concatenate([canvas.ventricles, canvas.tissue, clean[None]])
    after = effects.warp(before)
    kept = kept_lesion(lesion, after[:2], canvas.brain)
    regions = np.where(kept, lesion, 0).astype(np.uint8)
    if not kept.any():
        return None
    displaced, spacing = after[5], canvas.spacing
    painted, near = displaced.copy(), around(kept, int(np.ceil(REACH_MM / spacing)))
    painted[near], texture = disease.paint_lesion(displaced[near], regions[near], contrast, spacing, draws.of("paint"))
    scanner = draw_scanner(canvas, draws.of("scanner"))
    planes = {
        "prior": scanner(clean) * canvas.brain,
        "image": scanner(painted) * canvas.brain,
        "brain": canvas.brain,
        "reached": (effects.pull != 0).any(axis=0) | (painted != displaced),
    }
    for suffix, at in (("", before), ("_after", after)):
        planes |= {f"{side}{suffix}": np.float32(at[k] >= 0.5) for k, side in enumerate(("left", "right"))}
        planes |= {f"{name}{suffix}": at[k] for k, name in enumerate(TISSUE_LABELS, start=2)}
    planes |= {f"region_{k}": regions == k for k in np.unique(regions) if k}
    pull = effects.pull * np.float32(spacing)
    case = to_model(disease, planes, pull, kept, jitter_of(draws, kept.ndim))
    if not case["pathology"].any():
        return None
    area = int(case["pathology"].sum())
    case["parameters"] = {
        "disease": disease.name,
        **canvas.parameters,
        **drawn,
        **effects.drawn,
        "global_atrophy": global_atrophy,
        **_extremes(effects, canvas),
        "appearance": looks,
        "scanner": scanner.parameters,
        "lesion_appearance": texture,
        "size_px": area,
        "stratum": disease.stratum_of(area) if height is not None else None,
    }
    return case


def draw_scene(
    disease: Disease,
    anatomy: PreparedAnatomy,
    height: float | None,
    make_lesion: MakeLesion,
    draws: Draws,
    wide: bool = True,
    spacing: float | None = None,
) -> tuple[Canvas, np.ndarray, dict] | None:
    """
    A person, a lesion (uint8 S) and what was drawn for it; None if the lesion is empty.

    Args:
        spacing: mm of a grid step; None for that of all slices, or the model's pixel for volumes.
    """
    if spacing is None:
        spacing = disease.window / disease.points if height is not None else disease.pixel_mm
    limit = disease.points if height is not None else int(np.ceil(VOLUME_SHAPE[0] * disease.pixel_mm / spacing))
    canvas = draw_person(anatomy, height, spacing, limit, draws.of("person"), wide)
    lesion, drawn = make_lesion(canvas, draws.of("lesion"))
    return (canvas, lesion, drawn) if lesion.any() else None


def kept_lesion(lesion: np.ndarray, ventricles: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Where a lesion (S) is in the brain, outside the displaced ventricles (2xS), and not too thin; bool S."""
    return _tidied((lesion > 0) & (ventricles.sum(axis=0) < 0.5) & brain, brain)


def _tidied(lesion: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A lesion without what model pixels could not hold."""
    if not lesion.any():
        return lesion
    near, inner = around(lesion, 8), np.zeros_like(brain)
    inner[near] = ndimage.binary_erosion(brain[near], iterations=2, border_value=1)
    return tidy(lesion, inner)


def jitter_of(draws: Draws, dims: int) -> np.ndarray:
    """By how many points an axis a case lies off the middle of its window."""
    return draws.of("jitter").integers(-3, 4, dims)


def _extremes(effects: Effects, canvas: Canvas) -> dict[str, float]:
    """How far tissue moves, and how far the midline does, mm; the smallest Jacobian."""
    middle = np.abs(canvas.mni[0]) < 1
    return {
        "largest_displacement_mm": float(np.sqrt((effects.pull**2).sum(axis=0).max())) * canvas.spacing,
        "midline_shift_mm": float(np.abs(effects.pull[0][middle]).max(initial=0.0)) * canvas.spacing,
        "jacobian_min": effects.jacobian_min,
    }

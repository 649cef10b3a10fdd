# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Chronic stroke: where the infarct is, what it pulls, what it looks like on T1."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mededit_monai.simulation.appearance import Contrast
from mededit_monai.simulation.canvas import Canvas
from mededit_monai.simulation.fields import grain, smooth_noise, smoothstep
from mededit_monai.simulation.flow import taper
from mededit_monai.simulation.shapes import blob, distance_to, equivalent_radius, soften, toward
from mededit_monai.simulation.tissues import TISSUES

#: Deep gray matter, where lacunar infarcts lie (with the white matter around it).
DEEP = [TISSUES.index(t) for t in ("thalamus", "striatum", "pallidum")]


def drawn_infarct(canvas: Canvas, size_mm: float, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """
    A procedural infarct, cortical (a wedge that reaches the surface) or lacunar, with satellites now and then.

    Args:
        size_mm: radius of the disc (ball) with the wanted area (volume).

    Returns:
        bool S inside the brain and outside the ventricles (empty if there is no tissue), and what was drawn.
    """
    tissue = canvas.brain & (canvas.parenchyma > 0.5)
    kind = "lacunar" if size_mm < 9 and rng.random() < 0.5 else "cortical"
    if kind == "lacunar":
        place = tissue & (canvas.fractions[DEEP].sum(axis=0) + 0.25 * canvas.fractions[0] > 0.2) & (canvas.depth > 15)
    else:
        place = tissue & (canvas.depth < max(3.0, 0.7 * size_mm))
    room = tissue if kind == "lacunar" else canvas.brain & (canvas.ventricles.sum(axis=0) < 0.5)  # with its sulci
    mask, components = np.zeros(tissue.shape, bool), 1
    if rng.random() < 0.3:
        components += int(rng.integers(1, 4))
    centre = None
    for number in range(components):
        radius = size_mm if number == 0 else size_mm * float(rng.uniform(0.15, 0.5))
        candidates = np.flatnonzero(place if (number == 0 and place.any()) else tissue)
        if not len(candidates):
            return mask, {"lesion_kind": kind, "components_drawn": 0}
        if centre is not None:  # satellites: the same territory
            where = np.stack(np.unravel_index(candidates, tissue.shape), 1)
            near = np.linalg.norm((where - centre) * canvas.spacing, axis=1) < 3 * size_mm + 10
            candidates = candidates[near] if near.any() else candidates
        chosen = np.array(np.unravel_index(candidates[rng.integers(len(candidates))], tissue.shape))
        centre = chosen if centre is None else centre
        mask |= blob(canvas, room, chosen, radius, kind == "lacunar", rng)
    return mask, {"lesion_kind": kind, "components_drawn": components}


def ex_vacuo_velocity(canvas: Canvas, lesion: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """
    Velocity (pixels, pull-back) of the tissue loss: ventricle and sulci on the lesion's side widen.

    For a structure with soft mask B, v = a · ∇(G_r * B) / max|∇| points into it, so pulling an image through the flow
    makes the structure larger by about a mm at its wall. a grows with the lesion's radius and falls with its distance:
    ventricle a = min(7, gain · radius) · exp(-gap / 22 mm), sulci a = min(1.6, 0.09 · radius) within about 15 mm.
    """
    radius, step = equivalent_radius(lesion, canvas.spacing), canvas.spacing
    away = distance_to(lesion, step)
    gain, sulcal_gain = float(rng.uniform(0.12, 0.34)), float(rng.uniform(0.03, 0.1))
    velocity = np.zeros((lesion.ndim, *lesion.shape), np.float32)
    right = float(np.mean(canvas.mni[0][lesion] > 0)) >= 0.5
    ventricle = canvas.ventricles[1 if right else 0]
    wall, inside = 0.0, ventricle > 0.5
    if inside.any():
        gap = float(away[inside].min())
        wall = min(7.0, gain * radius) * float(np.exp(-gap / 22))
        wall *= min(1.0, equivalent_radius(inside, step) / 5)  # a slit yields less than an open ventricle
        velocity += toward(ventricle, float(rng.uniform(4, 7)) / step) * (wall / step) * np.exp(-((away / 45) ** 2))
    sulcal = min(1.6, sulcal_gain * radius)
    same_side = smoothstep((canvas.mni[0] if right else -canvas.mni[0]) / 6 + 0.5)
    velocity += toward(canvas.fluid, 2.0 / step) * (sulcal / step) * np.exp(-((away / 15) ** 2)) * same_side
    velocity = taper(velocity, smoothstep(canvas.depth / 5) * canvas.brain)
    drawn = {"lesion_radius_mm": radius, "lesion_side": "right" if right else "left"}
    return velocity, drawn | {"ventricle_pull_mm": wall, "sulcal_pull_mm": sulcal, "gain": gain}


def paint_infarct(
    image: np.ndarray, lesion: np.ndarray, canvas: Canvas, contrast: Contrast, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """
    A chronic infarct: cavity of fluid, strands of tissue in it, gliotic rim between gray matter and fluid.

    Args:
        image: scan without lesion, after the displacement, S.
        lesion: bool S, not empty.

    Returns:
        the image with the lesion (the very same values farther than 2.5 mm from it), and the parameters drawn.
    """
    step, radius = canvas.spacing, equivalent_radius(lesion, canvas.spacing)
    cavity = float(
        np.clip(rng.beta(2.6, 1.1) + radius / 150, 0.25, 1.0)
    )  # 1: an empty cyst; small: a thinned-out, gliotic scar
    rim = float(rng.uniform(0.8, 3.5)) * min(1.0, radius / 5)
    depth = ndimage.distance_transform_edt(lesion, sampling=step).astype(np.float32)
    strands = smooth_noise(lesion.shape, float(rng.uniform(2.0, 6.0)) / step, rng)
    ragged = float(rng.uniform(0.1, 0.5))
    inner = smoothstep((depth + ragged * strands * min(3.0, 0.4 * radius)) / max(rim, 0.3) - 0.2)
    core = cavity * inner * np.clip(1 - rng.uniform(0.0, 0.3) * np.maximum(strands, 0), 0.3, 1)
    gliosis = contrast.fluid + (contrast.gray - contrast.fluid) * float(rng.uniform(0.25, 0.85))
    fluid = contrast.fluid * float(rng.uniform(0.85, 1.25))
    scar = 0.35 * np.minimum(image, contrast.white) + 0.65 * gliosis
    texture = float(rng.uniform(0.01, 0.05)) * grain(lesion.shape, float(rng.uniform(0.7, 1.5)) / step, rng)
    value = core * fluid + (1 - core) * np.minimum(scar, image + 0.02) + texture * (1 - 0.7 * core)
    soft = soften(lesion, float(rng.uniform(0.5, 0.9)) / step)
    painted = np.where(soft > 0, image + soft * (np.maximum(value, 0) - image), image).astype(np.float32)
    drawn = {"cavity": cavity, "rim_mm": rim, "ragged": ragged, "gliosis": gliosis, "lesion_fluid": fluid}
    return painted, drawn

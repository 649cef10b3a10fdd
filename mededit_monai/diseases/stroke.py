# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Chronic stroke: where the infarct is, what it pulls, what it looks like on T1."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.diseases.canvas import TISSUES, Canvas, Contrast
from mededit_monai.diseases.record import Drawn
from mededit_monai.space.fields import grain, smooth_noise, smoothstep, taper
from mededit_monai.space.shapes import blob, distance_to, equivalent_radius, soften, toward

#: Deep gray matter, where lacunar infarcts lie (with the white matter around it).
DEEP = [TISSUES.index(t) for t in ("thalamus", "striatum", "pallidum")]


def draw_infarct(canvas: Canvas, size_mm: float, rng: np.random.Generator) -> Drawn:
    """
    A procedural infarct, cortical (a wedge that reaches the surface) or lacunar, with satellites now and then.

    Args:
        size_mm: radius of the disc (ball) with the wanted area (volume).

    Returns:
        uint8 S, 1 inside the brain and outside the ventricles (nowhere if there is no tissue), and what was drawn.
    """
    tissue = canvas.brain & (canvas.parenchyma > 0.5)
    kind = "lacunar" if size_mm < 9 and rng.random() < 0.5 else "cortical"
    if kind == "lacunar":
        place = tissue & (canvas.fractions[DEEP].sum(axis=0) + 0.25 * canvas.white > 0.2) & (canvas.depth > 15)
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
            return mask.astype(np.uint8), {"lesion_kind": kind, "components_drawn": 0}
        if centre is not None:  # satellites: the same territory
            where = np.stack(np.unravel_index(candidates, tissue.shape), 1)
            near = np.linalg.norm((where - centre) * canvas.spacing, axis=1) < 3 * size_mm + 10
            candidates = candidates[near] if near.any() else candidates
        chosen = np.array(np.unravel_index(candidates[rng.integers(len(candidates))], tissue.shape))
        centre = chosen if centre is None else centre
        mask |= blob(room & canvas.hemisphere(chosen), chosen, radius, canvas.spacing, kind == "lacunar", rng)
    return mask.astype(np.uint8), {"lesion_kind": kind, "components_drawn": components}


def ex_vacuo_velocity(canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """
    Velocity (pixels, pull-back) of the tissue loss: ventricle and sulci on the lesion's side widen.

    For a structure with soft mask B, v = a · ∇(G_r * B) / max|∇| points into it, so pulling an image through the flow
    makes the structure larger by about a mm at its wall. a grows with the lesion's radius and falls with its distance:
    ventricle a = min(7, gain · radius) · exp(-gap / 22 mm), sulci a = min(1.6, 0.09 · radius) within about 15 mm.
    """
    lesion, step = regions > 0, canvas.spacing
    radius = equivalent_radius(lesion, step)
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
    image: np.ndarray, regions: np.ndarray, contrast: Contrast, spacing: float, rng: np.random.Generator
) -> Drawn:
    """
    A chronic infarct: cavity of fluid, strands of tissue in it, gliotic rim between gray matter and fluid.

    Args:
        image: scan without lesion, after the displacement, S.
        regions: uint8 S, not empty.
        spacing: mm of a grid step.

    Returns:
        the image with the lesion (the very same values farther than 2.5 mm from it), and the parameters drawn.
    """
    lesion, step = regions > 0, spacing
    radius = equivalent_radius(lesion, step)
    # 1: an empty cyst; small: a thinned-out, gliotic scar
    cavity = float(np.clip(rng.beta(2.6, 1.1) + radius / 150, 0.25, 1.0))
    rim = float(rng.uniform(0.8, 3.5)) * min(1.0, radius / 5)
    depth = scipy.ndimage.distance_transform_edt(lesion, sampling=step).astype(np.float32)
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


#: Slice 95 of the ICBM 152 grid is z = 23 mm. Strata: the thesis.
DISEASES.add(
    "stroke",
    Disease(
        name="stroke",
        window=233,
        percentile=98.0,
        points=192,
        middle=23.0,
        heights=(-4, 62),
        areas=(3.0, 1500.0),
        strata=(18.5, 371.0),
        sdedit_start=0.2,
        draw_lesion=draw_infarct,
        paint_lesion=paint_infarct,
        lesion_velocity=ex_vacuo_velocity,
        bids_lesion="T1lesion",
        lesion_is_dark=True,
        ventricle_change=1,
    ),
)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Chronic stroke: where the infarct is, what it pulls, what it looks like on T1."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.diseases.canvas import TISSUES, Canvas, Contrast
from mededit_monai.diseases.record import Drawn
from mededit_monai.space.fields import blur, grain, smooth_noise, smoothstep, taper
from mededit_monai.space.shapes import blob, distance_to, equivalent_radius, soften, territory, toward

#: Deep gray matter, where lacunar infarcts lie (with the white matter around it).
DEEP = [TISSUES.index(t) for t in ("thalamus", "striatum", "pallidum")]


def draw_infarct(canvas: Canvas, size_mm: float, rng: np.random.Generator) -> Drawn:
    """
    A procedural infarct, cortical (a wedge that reaches the surface) or lacunar, with satellites now and then. In a
    volume it is as ragged as a vessel's territory.

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
        side = room & canvas.hemisphere(chosen)
        if mask.ndim == 3 and number == 0:
            mask |= territory(side, chosen, radius, canvas.spacing, canvas.tissue[1], rng)
        else:
            mask |= blob(side, chosen, radius, canvas.spacing, kind == "lacunar", rng)
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
    A chronic infarct as T1 shows it: a cavity at the level of CSF that joins the sulci and keeps from healthy white
    matter, bridged by strands; around it tissue that is still there, darkened by gliosis, its cortex thinned.

    After descriptions of chronic infarcts (encephalomalacia: cavitation, gliotic rim, thinned gyri, now and then
    cortical laminar necrosis, which is bright on T1): Osborn's Brain, 2nd ed. 2018, chapter 8; Naidich et al., Imaging
    of the Brain, 2013, chapter 20; ATLAS v2.0 (Liew et al., Sci Data 2022), figure 1.

    Args:
        image: scan without lesion, after the displacement, S.
        regions: uint8 S, not empty.
        spacing: mm of a grid step.

    Returns:
        the image with the lesion (the very same values farther than 3.5 mm from it), and the parameters drawn.
    """
    lesion, step, span = regions > 0, spacing, contrast.white - contrast.fluid
    radius = equivalent_radius(lesion, step)
    share = float(np.clip(rng.beta(1.8, 1.2) + radius / 200, 0.05, 0.95))  # of the lesion that is cavity
    tissue = np.clip((image - contrast.fluid) / span, 0, 1.2)
    open_to_fluid = 1 - np.clip(blur(tissue, 2.0 / step), 0, 1)
    rough, fine = (smooth_noise(lesion.shape, length / step, rng) for length in (6.0, 2.5))
    # What lies deep in the lesion or beside fluid is lost first; the outline is ragged.
    depth = scipy.ndimage.distance_transform_edt(lesion, sampling=step).astype(np.float32)
    loss = np.minimum(depth / max(0.5 * radius, 2.0), 1.0) + 0.9 * open_to_fluid
    loss = loss + float(rng.uniform(0.15, 0.5)) * rough + 0.12 * fine
    edge = np.quantile(loss[lesion], 1 - share)
    blurred = 0.12 + 0.25 * float(rng.uniform(0, 1)) ** 2  # a sharp wall, or one that fades into gliosis
    cavity = smoothstep((loss - edge) / blurred + 0.5) * soften(lesion, 0.5 / step)
    if rng.random() < 0.6:  # strands of what is left bridge it
        width = float(rng.uniform(0.05, 0.22))
        thread = np.abs(smooth_noise(lesion.shape, float(rng.uniform(4.0, 8.0)) / step, rng)) < width
        cavity = cavity * (1 - float(rng.uniform(0.2, 0.7)) * soften(thread, 0.5 / step))
    gliosis = contrast.fluid + (contrast.gray - contrast.fluid) * float(rng.uniform(0.45, 1.0))
    strength = np.clip(float(rng.uniform(0.35, 0.85)) + 0.25 * rough, 0.1, 0.95)
    left = image + strength * (np.minimum(gliosis, image) - image)
    thinned = float(rng.uniform(0.3, 1.2))
    left = left - np.clip(thinned * blur(1 - np.clip(tissue, 0, 1), 1.4 / step), 0, 1) * (left - contrast.fluid)
    laminar = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.12 else 0.0
    if laminar:
        ribbon = np.exp(-(((tissue - 0.62) / 0.14) ** 2)) * np.clip(fine + 0.6, 0, 1)
        left = left + laminar * ribbon * (1.02 * contrast.white - left)
    left = left + 0.02 * span * grain(lesion.shape, float(rng.uniform(0.7, 1.5)) / step, rng)
    fluid = contrast.fluid * float(rng.uniform(0.88, 1.12))
    value = left + cavity * (fluid - left)
    soft = soften(lesion, float(rng.uniform(0.5, 0.9)) / step)
    # A thin band of gliosis fades into the tissue outside the mask.
    halo = float(rng.uniform(0.0, 0.35)) * soften(lesion, 1.1 / step) * (tissue > 0.5)
    around_it = image + halo * (np.minimum(contrast.gray, image) - image)
    painted = np.where(soft > 0, around_it + soft * (np.maximum(value, 0) - around_it), around_it).astype(np.float32)
    drawn = {"cavity": share, "gliosis": gliosis, "thinned": thinned, "laminar": laminar, "lesion_fluid": fluid}
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

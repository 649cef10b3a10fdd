# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Glioma on T1 with gadolinium: necrotic core (1), edema (2), enhancing rim (3), and the room it takes."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.diseases.canvas import Canvas, Contrast
from mededit_monai.diseases.record import Drawn, as_given
from mededit_monai.space.fields import blur, grain, smooth_noise, smoothstep, taper
from mededit_monai.space.shapes import around, blob, depth_in, distance_to, equivalent_radius, soften, toward

CORE, EDEMA, RIM = 1, 2, 3


def draw_tumor(canvas: Canvas, size_mm: float, rng: np.random.Generator) -> Drawn:
    """
    Regions of a procedural tumour.

    Args:
        size_mm: radius of the disc (ball) with the wanted size of core, rim and edema together.

    Returns:
        uint8 S: 0, 1 necrotic core, 2 edema, 3 enhancing rim (empty if there is no tissue), and what was drawn.
    """
    tissue = canvas.brain & (canvas.parenchyma > 0.5)
    share = float(rng.uniform(0.2, 0.75))
    radius = size_mm * share ** (1 / tissue.ndim)
    place = tissue & (canvas.depth > min(0.9 * radius, 18)) & (smooth_white(canvas) > 0.35)
    candidates = np.flatnonzero(place if place.any() else tissue)
    if not len(candidates):
        return np.zeros(tissue.shape, np.uint8), {}
    centre = np.array(np.unravel_index(candidates[rng.integers(len(candidates))], tissue.shape))
    compact = bool(rng.random() < 0.6)
    solid = blob(tissue & canvas.hemisphere(centre), centre, radius, canvas.spacing, compact, rng)
    near = around(solid, 4)
    solid[near] = scipy.ndimage.binary_fill_holes(scipy.ndimage.binary_closing(solid[near], iterations=2))
    solid &= canvas.brain
    return with_regions(canvas, solid, size_mm, rng), {"solid_share": share}


def given_tumor(canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> Drawn:
    """Labels are taken as they are; a binary mask is the solid part, and edema is grown around it."""
    if not mask.any() or mask.max() > 1:
        return as_given(canvas, mask, rng)
    share = float(rng.uniform(0.25, 0.75))
    size_mm = equivalent_radius(mask, canvas.spacing) / share ** (1 / mask.ndim)
    return with_regions(canvas, mask > 0, size_mm, rng), {"lesion_kind": "given", "solid_share": share}


def smooth_white(canvas: Canvas) -> np.ndarray:
    """Share of white matter within about 2 mm of a point, S."""
    return blur(canvas.white, 2.0 / canvas.spacing)


def place_edema(canvas: Canvas, solid: np.ndarray, size_mm: float, rng: np.random.Generator) -> np.ndarray:
    """
    Edema around a solid tumour: it spreads along white matter and stops at cortex, ventricles and the midline.

    Level set of distance + 16 mm · (1 - white) + roughness, cut at the wanted size; only what hangs together.
    """
    n, step = solid.ndim, canvas.spacing
    wanted = (np.pi * size_mm**2 if n == 2 else 4 / 3 * np.pi * size_mm**3) / step**n
    free = canvas.brain & ~solid & (canvas.ventricles.sum(axis=0) < 0.5) & (canvas.fluid < 0.6)
    count = min(int(wanted - solid.sum()), int(free.sum()))
    if count <= 0:
        return np.zeros_like(solid)
    right = float(np.mean(canvas.mni[0][solid] > 0)) >= 0.5
    beyond = np.clip((-canvas.mni[0] if right else canvas.mni[0]) / 4, 0, 6)
    cost = distance_to(solid, step) + 16 * (1 - np.clip(smooth_white(canvas), 0, 1)) + 4 * beyond
    cost = cost + rng.uniform(1, 4) * smooth_noise(solid.shape, 8.0 / step, rng)
    cost = np.where(free, cost, np.inf)
    spread = cost <= np.partition(cost[free], count - 1)[count - 1]
    near, kept = around(spread | solid, 2), np.zeros_like(solid)
    spread = scipy.ndimage.binary_opening((spread | solid)[near]) | solid[near]
    labels, _ = scipy.ndimage.label(spread)
    kept[near] = np.isin(labels, np.unique(labels[solid[near]]))
    return kept & ~solid & free


def with_regions(canvas: Canvas, solid: np.ndarray, size_mm: float, rng: np.random.Generator) -> np.ndarray:
    """
    Divide a solid tumour into necrotic core and a nodular enhancing rim, put edema around it, and now and then small
    enhancing satellites into the edema; uint8 S.
    """
    regions = np.where(place_edema(canvas, solid, size_mm, rng), EDEMA, 0).astype(np.uint8)
    _divide_solid(regions, solid, canvas.spacing, rng)
    if rng.random() < 0.25:
        _add_satellites(regions, canvas.spacing, rng)
    return regions


def divided_tumor(mask: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """
    A layout of a tumour of which nothing is known but where it is: a rounded solid part deep inside, which makes up a
    share of it as in :func:`draw_tumor`, with necrotic core and enhancing rim, and edema around it.

    Args:
        mask: bool S, all of the tumour; spacing: mm of a grid step.

    Returns:
        uint8 S: 1 core, 2 edema, 3 rim wherever the mask is.
    """
    regions = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return regions
    near = around(mask, 1)
    inside = mask[near]
    radius = equivalent_radius(inside, spacing)
    whole = scipy.ndimage.binary_fill_holes(inside)
    depth = blur(depth_in(whole, spacing), 0.15 * radius / spacing)
    deep = np.flatnonzero(depth >= 0.8 * depth.max())
    centre = np.unravel_index(deep[rng.integers(len(deep))], depth.shape)
    grid = np.ogrid[tuple(slice(0, n) for n in depth.shape)]
    away = np.sqrt(sum(((g - c) * spacing) ** 2 for g, c in zip(grid, centre)))
    rank = depth - 0.5 * away + 0.1 * radius * smooth_noise(depth.shape, max(0.6 * radius, 3.0) / spacing, rng)
    solid = inside & (rank >= np.quantile(rank[inside], 1 - float(rng.uniform(0.2, 0.75))))
    labels, _ = scipy.ndimage.label(solid)
    solid = labels == np.bincount(labels[solid]).argmax()
    divided = np.where(inside, EDEMA, 0).astype(np.uint8)
    _divide_solid(divided, solid, spacing, rng)
    regions[near] = divided
    return regions


def _divide_solid(regions: np.ndarray, solid: np.ndarray, step: float, rng: np.random.Generator) -> None:
    """Necrotic core and nodular enhancing rim of a solid tumour, in place."""
    depth = depth_in(solid, step)
    uneven = 0.45 * smooth_noise(solid.shape, 7.0 / step, rng) + 0.25 * smooth_noise(solid.shape, 3.5 / step, rng)
    thickness = float(rng.uniform(1.5, 5.0)) * np.exp(np.clip(uneven, -3, 3))
    necrotic = solid & (depth > np.maximum(thickness, 1.0))
    kind = rng.random()
    regions[solid] = RIM
    if kind > 0.15:  # else: solid enhancement without necrosis
        regions[necrotic] = CORE
    if kind > 0.92:  # hardly enhancing: the core label stands for non-enhancing tumour
        gaps = smooth_noise(solid.shape, 8.0 / step, rng) > -0.5
        regions[solid & gaps] = CORE


def _add_satellites(regions: np.ndarray, step: float, rng: np.random.Generator) -> None:
    """One to three enhancing nodules of 2 to 4 mm in the edema, in place."""
    room = np.flatnonzero(regions == EDEMA)
    grid = np.ogrid[tuple(slice(0, n) for n in regions.shape)]
    for _ in range(int(rng.integers(1, 4)) if len(room) else 0):
        centre = np.unravel_index(room[rng.integers(len(room))], regions.shape)
        distance = np.sqrt(sum(((g - c) * step) ** 2 for g, c in zip(grid, centre)))
        regions[(distance < rng.uniform(2.0, 4.0)) & (regions == EDEMA)] = RIM


def mass_velocity(canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """
    Velocity (pixels, pull-back) of the mass effect: tissue moves away from the tumour, fluid spaces close.

    Tissue at distance d moves out by a · exp(-d / λ) along the gradient of the smoothed distance, a growing with the
    tumour's radius; inside it falls to zero toward the centre. The push is weaker beyond the midline (falx) and fades
    to nothing at the brain's edge (skull). Fluid spaces shrink by the field that widens them after a stroke with its
    sign turned.
    """
    solid, whole, step = regions % 2 == 1, regions > 0, canvas.spacing
    source = solid if solid.any() else whole
    radius = equivalent_radius(source, step) + 0.3 * (equivalent_radius(whole, step) - equivalent_radius(source, step))
    push, reach = float(rng.uniform(0.12, 0.5)) * radius, float(rng.uniform(14, 30))
    push = min(push, 11.0)
    outside = distance_to(source, step)
    inside = depth_in(source, step)
    signed = blur(outside - inside, 3.0 / step)
    slope = np.stack(np.gradient(signed)) / step
    slope = slope / np.maximum(np.sqrt((slope**2).sum(axis=0)), 0.5)
    deepest = max(float(inside.max()), step)
    profile = np.exp(-np.maximum(signed, 0) / reach) * np.clip(1 + np.minimum(signed, 0) / deepest, 0, 1)
    right = float(np.mean(canvas.mni[0][source] > 0)) >= 0.5
    across = (-canvas.mni[0] if right else canvas.mni[0]) / 8
    falx = float(rng.uniform(0.3, 0.8))
    weight = profile * (1 - falx * smoothstep(across / 2 + 0.25))
    velocity = -(push / step) * slope * weight
    close = float(rng.uniform(0.6, 2.4)) * min(1.0, radius / 12)
    near = np.exp(-((outside / 35) ** 2))
    for space, size, smooth in ((canvas.ventricles.sum(axis=0), 1.0, 4.0), (canvas.fluid, 0.7, 2.0)):
        velocity -= toward(space, smooth / step) * (close * size / step) * near
    velocity = taper(velocity, smoothstep(canvas.depth / 9) * canvas.brain)
    drawn = {"tumor_radius_mm": radius, "lesion_side": "right" if right else "left"}
    return velocity, drawn | {"push_mm": push, "push_reach_mm": reach, "effacement_mm": close, "falx": falx}


def paint_tumor(
    image: np.ndarray, regions: np.ndarray, contrast: Contrast, spacing: float, rng: np.random.Generator
) -> Drawn:
    """
    Paint the regions as T1 with gadolinium shows a glioblastoma: edema that fades into white matter, a rim that is
    bright, uneven and sharper outside than toward the necrosis, mottled necrosis with septa, now and then blood,
    bright (methaemoglobin) or dark (haemosiderin).

    After descriptions of glioblastoma: Osborn's Brain, 2nd ed. 2018, chapter 17; VASARI features (TCIA); BraTS (Menze
    et al., IEEE TMI 2015), figure 1.

    Returns:
        image (the very same values farther than 4.5 mm from its box along an axis), and the parameters drawn.
    """
    shape, step = regions.shape, spacing
    coarse, mottle = smooth_noise(shape, 8.0 / step, rng), smooth_noise(shape, 4.0 / step, rng)
    fine = grain(shape, 0.9 / step, rng)
    edge = float(rng.uniform(0.5, 0.9)) / step
    edema = contrast.gray * float(rng.uniform(0.66, 1.0))
    necrosis = contrast.fluid + (contrast.gray - contrast.fluid) * float(rng.uniform(0.05, 0.7))
    brightest = min(max(contrast.vessel, 1.15 * contrast.white), 1.5 * contrast.white)
    rim = contrast.white + (brightest - contrast.white) * float(rng.uniform(0.2, 1.0))
    mild = float(rng.uniform(0.5, 0.95))
    swollen = image + mild * (np.minimum(edema, image) - image) * np.clip(1 + 0.35 * mottle, 0, 1.2)
    soft = soften(regions > 0, min(float(rng.uniform(0.9, 1.6)), 1.6) / step)  # the edema goes on under the tumour
    painted = np.where(soft > 0, image + soft * (np.maximum(swollen + 0.01 * fine, 0) - image), image)
    solid = regions % 2 == 1
    if solid.any():
        value, looks = _solid_tumor(painted, regions, (necrosis, rim, contrast), (coarse, mottle, fine), step, rng)
        soft = soften(solid, edge)
        painted = np.where(soft > 0, painted + soft * (np.maximum(value, 0) - painted), painted)
    else:
        looks = {}
    drawn = {"edema": edema, "necrosis": necrosis, "rim": rim}
    return painted.astype(np.float32), drawn | looks


def _solid_tumor(
    image: np.ndarray,
    regions: np.ndarray,
    levels: tuple[float, float, Contrast],
    noise: tuple[np.ndarray, np.ndarray, np.ndarray],
    step: float,
    rng: np.random.Generator,
) -> Drawn:
    """Intensities of core and rim, S, and what was drawn."""
    (necrosis, rim, contrast), (coarse, mottle, fine) = levels, noise
    span = contrast.gray - contrast.fluid
    # Contrast agent takes unevenly, and leaks from the rim into the necrosis.
    taken = np.clip(float(rng.uniform(0.7, 1.0)) + float(rng.uniform(0.1, 0.3)) * coarse + 0.12 * mottle, 0.15, 1.1)
    living = np.minimum(image, contrast.gray)
    enhancing = living + taken * (rim - living) + 0.04 * rim * fine
    dead = necrosis + span * (
        float(rng.uniform(0.08, 0.3)) * mottle + float(rng.uniform(0, 0.2)) * coarse + 0.04 * fine
    )
    inward = scipy.ndimage.distance_transform_edt(regions == CORE, sampling=step)
    leak = float(rng.uniform(0.0, 0.5)) * np.exp(-inward / float(rng.uniform(0.8, 2.5)))
    if rng.random() < 0.35:  # septa
        threads = np.abs(smooth_noise(regions.shape, float(rng.uniform(5, 9)) / step, rng)) < 0.12
        leak = np.maximum(leak, float(rng.uniform(0.3, 0.9)) * soften(threads, 0.5 / step))
    dead = dead + leak * (rim - dead)
    core = soften(regions == CORE, float(rng.uniform(0.4, 0.8)) / step)
    value = enhancing + core * (dead - enhancing)
    blood = "none"
    if rng.random() < 0.3:
        blood = str(rng.choice(["bright", "dark"]))
        level = contrast.white * float(rng.uniform(1.0, 1.4)) if blood == "bright" else 0.5 * contrast.fluid
        spots = smooth_noise(regions.shape, float(rng.uniform(2.5, 5.0)) / step, rng) > rng.uniform(1.2, 1.8)
        value = value + 0.85 * soften(spots, 0.6 / step) * (level - value)
    return value, {"blood": blood}


#: Slice 90 of the BraTS grid lies near z = 20 mm. Strata: the thesis.
DISEASES.add(
    "tumor",
    Disease(
        name="tumor",
        window=200,
        percentile=99.5,
        points=160,
        middle=20.0,
        heights=(-4, 58),
        areas=(25.0, 1300.0),
        strata=(135.75, 397.0),
        sdedit_start=0.6,
        gadolinium=True,
        draw_lesion=draw_tumor,
        paint_lesion=paint_tumor,
        lesion_velocity=mass_velocity,
        given_lesion=given_tumor,
        given_share=0.5,  # edema comes on top
        structures=("core", "edema", "enhancing"),
        label_names=("necrotic core", "edema", "enhancing"),
        bids_lesion="tumor",
        ventricle_change=-1,
    ),
)

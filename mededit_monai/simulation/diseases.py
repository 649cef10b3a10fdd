# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a lesion of either disease is drawn or taken over, what it displaces, and how it is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.simulation import stroke, tumor
from mededit_monai.simulation.canvas import Canvas
from mededit_monai.simulation.fields import blur
from mededit_monai.simulation.shapes import around, equivalent_radius


@dataclass
class Lesion:
    """A lesion on a canvas: uint8 S (1 for stroke; 1, 2, 3 for tumour), and what was drawn."""

    regions: np.ndarray
    parameters: dict


def drawn_lesion(disease: Disease, canvas: Canvas, size_mm: float, rng: np.random.Generator) -> Lesion:
    """A procedural lesion with the size of a disc (ball) of radius ``size_mm``."""
    if disease.name == "stroke":
        mask, drawn = stroke.drawn_infarct(canvas, size_mm, rng)
        return Lesion(mask.astype(np.uint8), drawn)
    regions, drawn = tumor.drawn_tumor(canvas, size_mm, rng)
    return Lesion(regions, drawn)


def given_lesion(disease: Disease, canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> Lesion:
    """
    A lesion from a real mask (uint8 S).

    Labels of a tumour are taken as they are; a binary mask is its solid part, and edema is grown around it.
    """
    mask = np.where(canvas.brain, mask, 0).astype(np.uint8)
    if disease.name == "stroke" or not mask.any() or mask.max() > 1:
        return Lesion(mask, {"lesion_kind": "given"})
    share = float(rng.uniform(0.25, 0.75))
    white = blur(canvas.fractions[0], 2.0 / canvas.spacing)
    size_mm = equivalent_radius(mask > 0, canvas.spacing) / share ** (1 / mask.ndim)
    regions = tumor.with_regions(canvas, mask > 0, size_mm, white, rng)
    return Lesion(regions, {"lesion_kind": "given", "solid_share": share})


def effect_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator):
    """Velocity (pixels, pull-back) of the lesion's indirect effects, and what was drawn."""
    if disease.name == "stroke":
        return stroke.ex_vacuo_velocity(canvas, regions > 0, rng)
    return tumor.mass_velocity(canvas, regions, rng)


def paint_lesion(disease: Disease, image: np.ndarray, regions: np.ndarray, canvas: Canvas, contrast, rng):
    """The displaced scan with the lesion in it, and what was drawn; only the lesion's surroundings are worked on."""
    near = around(regions > 0, int(np.ceil(6 / canvas.spacing)))
    image = image.copy()
    if disease.name == "stroke":
        image[near], drawn = stroke.paint_infarct(image[near], regions[near] > 0, canvas, contrast, rng)
    else:
        image[near], drawn = tumor.paint_tumor(image[near], regions[near], canvas, contrast, rng)
    return image, drawn

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the diseases: window, percentile, strata of the thesis, heights, and how a lesion is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mededit_monai.simulation import stroke, tumor
from mededit_monai.simulation.canvas import Canvas
from mededit_monai.simulation.fields import blur
from mededit_monai.simulation.shapes import equivalent_radius

STRATA = ("small", "medium", "large")


@dataclass(frozen=True)
class Disease:
    """
    Args:
        window: side of the model's window in mm; percentile: of the slice that becomes 1.
        strata: bounds of the thesis's medium stratum in pixels at 128x128.
        areas: smallest and largest area drawn, pixels at 128x128.
        middle: MNI z (mm) of the thesis's slice; heights: MNI z of all slices drawn from.
        gadolinium: contrast agent.
    """

    name: str
    window: int
    percentile: float
    strata: tuple[float, float]
    areas: tuple[float, float]
    middle: float
    heights: tuple[int, int]
    gadolinium: bool

    @property
    def pixel_mm(self) -> float:
        """Side of a model pixel."""
        return self.window / 128

    def stratum_of(self, area_px: float) -> str:
        """Size stratum of a lesion by its area at 128x128."""
        return STRATA[int(area_px >= self.strata[0]) + int(area_px > self.strata[1])]

    def bounds_mm2(self, stratum: str) -> tuple[float, float]:
        """Areas of a stratum in mm²."""
        edges = (self.areas[0], *self.strata, self.areas[1])
        k = STRATA.index(stratum)
        return edges[k] * self.pixel_mm**2, edges[k + 1] * self.pixel_mm**2


#: Slice 95 of the ICBM 152 grid is z = 23 mm; slice 90 of the BraTS grid lies near z = 20 mm. Strata: the thesis.
DISEASES = {
    "stroke": Disease("stroke", 233, 98.0, (18.5, 371.0), (3.0, 1500.0), 23.0, (-4, 62), False),
    "tumor": Disease("tumor", 200, 99.5, (135.75, 397.0), (25.0, 1300.0), 20.0, (-4, 58), True),
}


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
    A lesion from a real mask (bool S); for a tumour the mask is its solid part, and edema is grown around it.
    """
    mask = mask & canvas.brain
    if disease.name == "stroke" or not mask.any():
        return Lesion(mask.astype(np.uint8), {"lesion_kind": "given"})
    share = float(rng.uniform(0.25, 0.75))
    white = blur(canvas.fractions[0], 2.0 / canvas.spacing)
    size_mm = equivalent_radius(mask, canvas.spacing) / share ** (1 / mask.ndim)
    return Lesion(tumor.with_regions(canvas, mask, size_mm, white, rng), {"lesion_kind": "given", "solid_share": share})


def effect_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator):
    """Velocity (pixels, pull-back) of the lesion's indirect effects, and what was drawn."""
    if disease.name == "stroke":
        return stroke.ex_vacuo_velocity(canvas, regions > 0, rng)
    return tumor.mass_velocity(canvas, regions, rng)


def paint_lesion(disease: Disease, image: np.ndarray, regions: np.ndarray, canvas: Canvas, contrast, rng):
    """The displaced scan with the lesion in it, and what was drawn."""
    if disease.name == "stroke":
        return stroke.paint_infarct(image, regions > 0, canvas, contrast, rng)
    return tumor.paint_tumor(image, regions, canvas, contrast, rng)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A third disease in one file outside the package: a round cyst in the right white matter that moves nothing.

``MEDEDIT_PLUGINS=toy_disease.py mededit simulate --disease cyst`` knows it.
"""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.diseases.canvas import Canvas, Contrast
from mededit_monai.diseases.record import Drawn

#: Of the mean of white matter.
BRIGHTNESS = 0.5


def draw_cyst(canvas: Canvas, size_mm: float, rng: np.random.Generator) -> Drawn:
    """A disc (ball) around a point of the right white matter."""
    shape = canvas.brain.shape
    places = np.flatnonzero((canvas.white > 0.5) & (canvas.mni[0] > 15) & (canvas.depth > min(size_mm + 5, 12)))
    if not len(places):
        return np.zeros(shape, np.uint8), {}
    centre = np.array(np.unravel_index(rng.choice(places), shape)).reshape(-1, *[1] * len(shape))
    distance = np.linalg.norm((np.indices(shape) - centre) * canvas.spacing, axis=0)
    return (distance < size_mm).astype(np.uint8), {"radius_mm": size_mm}


def paint_cyst(
    image: np.ndarray, regions: np.ndarray, contrast: Contrast, spacing: float, rng: np.random.Generator
) -> Drawn:
    """Evenly half as bright as white matter, with a sharp edge."""
    value = BRIGHTNESS * contrast.white
    return np.where(regions > 0, value, image).astype(np.float32), {"lesion_value": value}


DISEASES.add(
    "cyst",
    Disease(
        name="cyst",
        window=220,
        percentile=99.0,
        points=176,
        middle=30.0,
        heights=(24, 36),
        areas=(60.0, 300.0),
        strata=(100.0, 200.0),
        sdedit_start=0.4,
        draw_lesion=draw_cyst,
        paint_lesion=paint_cyst,
    ),
)

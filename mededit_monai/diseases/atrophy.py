# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Remote atrophy: the whole brain loses volume, near a lesion or not; the same for every disease."""

from __future__ import annotations

from typing import Any

import numpy as np

from mededit_monai.diseases.canvas import Canvas
from mededit_monai.space.fields import smoothstep, taper
from mededit_monai.space.shapes import equivalent_radius, toward

#: How far walls move at global atrophy 1, mm: of the lateral ventricles, the third ventricle and sulci.
VENTRICLE_MM, THIRD_MM, SULCI_MM = 2.5, 1.0, 0.7


def remote_atrophy_velocity(canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """
    Velocity (grid steps, pull-back) of remote atrophy 1: fluid spaces of both hemispheres widen.

    The fields are those that widen fluid spaces beside an infarct (v = a · ∇(G_r * B) / max|∇|), without its side and
    reach. The third ventricle is the fluid within about 5 mm of the midline and deeper than 20 mm.

    Returns:
        nxS, exactly 0 outside the brain, and how far walls were drawn to move, mm.
    """
    step, u = canvas.spacing, rng.uniform
    wall, third, sulci = VENTRICLE_MM * u(0.7, 1.3), THIRD_MM * u(0.6, 1.4), SULCI_MM * u(0.6, 1.4)
    reach = u(4, 7)
    ventricles = canvas.ventricles
    open_mm = max(equivalent_radius(side > 0.5, step) for side in ventricles)
    wall *= min(1.0, open_mm / 5)  # a slit yields less than an open ventricle
    middle = canvas.fluid * np.exp(-((canvas.mni[0] / 5) ** 2)) * smoothstep((canvas.depth - 15) / 10)
    velocity = toward(canvas.fluid, 2.0 / step) * np.float32(sulci / step)
    if wall:
        velocity += toward(ventricles.sum(axis=0), reach / step) * np.float32(wall / step)
    if middle.max() > 0.5:
        velocity += toward(middle, 3.0 / step) * np.float32(third / step)
    velocity = taper(velocity, smoothstep(canvas.depth / 5) * canvas.brain)
    return velocity, {"ventricle_mm": float(wall), "third_mm": float(third), "sulci_mm": float(sulci)}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A push or pull of the lesion alone, which falls with the square of the distance, whatever lies between."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.laws import LAWS, SIDES, side_of, source_of, within_brain
from mededit_monai.space.fields import blur
from mededit_monai.space.shapes import depth_in, distance_to, equivalent_radius

#: Motion of the lesion's surface as a share of its radius, away from it and toward it.
PUSH, PULL = (0.12, 0.45), (0.05, 0.25)


def inverse_square_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """
    Tissue at distance d of a lesion of radius r moves straight away from it (tumour) or toward it (stroke) by
    a · (r / (r + d))², as around a ball that grows in an endless incompressible body; in the lesion less and less
    toward its middle. No space of fluid is asked for, and nothing stops at the midline.
    """
    source, step = source_of(disease, regions) > 0.5, canvas.spacing
    source = source if source.any() else regions > 0
    radius = equivalent_radius(source, step)
    share = float(rng.uniform(*(PULL if disease.ventricle_change > 0 else PUSH)))
    push = -disease.ventricle_change * share * radius
    outside, inside = distance_to(source, step), depth_in(source, step)
    signed = blur(outside - inside, 3.0 / step)
    slope = np.stack(np.gradient(signed)) / step
    away = slope / np.maximum(np.sqrt((slope**2).sum(axis=0)), 0.5)
    profile = (radius / (radius + np.maximum(signed, 0))) ** 2
    profile = profile * np.clip(1 + np.minimum(signed, 0) / max(float(inside.max()), step), 0, 1)
    velocity = (-push / step * profile * away).astype(np.float32)
    drawn = {"lesion_side": SIDES[side_of(canvas, regions > 0)], "lesion_radius_mm": radius, "push_mm": push}
    return within_brain(velocity, canvas), drawn


LAWS.add("inverse_square", inverse_square_velocity)

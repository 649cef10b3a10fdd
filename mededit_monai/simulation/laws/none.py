# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A lesion that moves nothing: whatever an editor moves is wrong."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn, no_displacement
from mededit_monai.simulation.laws import LAWS, SIDES, side_of


def no_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """Zeros."""
    velocity, _ = no_displacement(canvas, regions, rng)
    return velocity, {"lesion_side": SIDES[side_of(canvas, regions > 0)]}


LAWS.add("none", no_velocity)

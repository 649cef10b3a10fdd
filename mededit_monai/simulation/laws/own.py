# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The disease's own law."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.laws import LAWS, OWN


def own_velocity(disease: Disease, canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """What the disease's record says."""
    return disease.lesion_velocity(canvas, regions, rng)


LAWS.add(OWN, own_velocity)

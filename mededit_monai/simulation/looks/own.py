# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The disease's own painter."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Contrast
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.looks import LOOKS, OWN


def own_look(
    disease: Disease,
    image: np.ndarray,
    regions: np.ndarray,
    contrast: Contrast,
    spacing: float,
    rng: np.random.Generator,
) -> Drawn:
    """What the disease's record says."""
    return disease.paint_lesion(image, regions, contrast, spacing, rng)


LOOKS.add(OWN, own_look)

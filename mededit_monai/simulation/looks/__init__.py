# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Looks of lesions by name: how a lesion is painted.

``own`` is the disease's painter, by which the shipped editors were trained. A look is called as the disease's
``paint_lesion``, with the disease before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mededit_monai.core.registry import Registry
from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Contrast
from mededit_monai.diseases.record import Drawn

OWN = "own"

#: (disease, image, regions, contrast, spacing, rng) → the scan with the lesion, S float32; and what was drawn. The very
#: same values farther than 6 mm from the lesion.
Look = Callable[[Disease, np.ndarray, np.ndarray, Contrast, float, np.random.Generator], Drawn]

LOOKS: Registry[Look] = Registry("look", builtin=(f"{__name__}.{OWN}", f"{__name__}.second"))

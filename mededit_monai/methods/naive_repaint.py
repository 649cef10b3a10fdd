# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Naïve RePaint: resampled inpainting in the lesion mask, by MedEdit's network."""

from __future__ import annotations

from mededit_monai.core.lazy import Later
from mededit_monai.methods.mededit import COMPOSED, NETWORK
from mededit_monai.methods.record import INPAINTING, METHODS, Method

METHODS.add(
    "naive_repaint",
    Method(
        name="naive_repaint",
        summary="resampled inpainting in the lesion mask",
        editor=Later("mededit_monai.methods.inpainting:NaiveRePaintEditor"),
        network=NETWORK,
        takes=INPAINTING,
        defaults=lambda disease, condition, spatial_dims: COMPOSED,
        region="pathology",
    ),
)

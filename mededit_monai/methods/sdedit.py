# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""SDEdit: the whole scan noised part of the way and denoised, by MedEdit's network."""

from __future__ import annotations

from mededit_monai.core.lazy import Later
from mededit_monai.methods.mededit import NETWORK
from mededit_monai.methods.record import METHODS, SAMPLING, Method

METHODS.add(
    "sdedit",
    Method(
        name="sdedit",
        summary="noises the whole scan part of the way and denoises it",
        editor=Later("mededit_monai.methods.inpainting:SDEditEditor"),
        network=NETWORK,
        takes=SAMPLING | {"start", "guidance", "mode"},
        defaults=lambda disease, condition, spatial_dims: {
            "steps": 50,
            "sampler": "ddpm",
            "start": disease.sdedit_start,
        },
        region="image",
    ),
)

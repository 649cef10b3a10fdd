# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette as published: a network that fills a hole in the scan and sees the rest of it clean."""

from __future__ import annotations

from mededit_monai.core.lazy import Later
from mededit_monai.methods.palette import HOLE
from mededit_monai.methods.record import METHODS, Method, Network

METHODS.add(
    "palette_original",
    Method(
        name="palette_original",
        summary="fills the lesion mask and keeps the rest",
        editor=Later("mededit_monai.methods.hole_editors:OriginalPaletteEditor"),
        network=Network(
            name="palette_original",
            weights="palette_original.pt",
            brain=False,
            pathology="none",
            scans=("scan with a hole",),
            batch=Later("mededit_monai.training.palette_batch:OriginalPalettePrepareBatch"),
            noising=Later("mededit_monai.training.palette_batch:HoleInferer"),
            preview={"steps": 20},
            training_options={"batch": (HOLE,)},
        ),
        defaults=lambda disease, condition, spatial_dims: {"steps": 50, "sampler": "ddpm"},
        region="pathology",
    ),
)

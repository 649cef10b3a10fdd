# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette in the thesis's variant: a network that draws the whole scan anew and fills a hole in it."""

from __future__ import annotations

from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.methods.record import METHODS, Method, Network

#: What a training of either variant draws its holes from.
HOLE = Option(
    name="hole",
    help="What is hidden: the lesion, boxes around its pieces, or one of them for each sample; validation uses "
    "condition.",
    default="both",
    choices=("mask", "box", "both"),
    group="With --family palette and palette_original",
    recorded=True,
)

METHODS.add(
    "palette",
    Method(
        name="palette",
        summary="fills the lesion mask and redraws the rest (the thesis)",
        editor=Later("mededit_monai.methods.hole_editors:PaletteEditor"),
        network=Network(
            name="palette",
            weights="palette.pt",
            brain=False,
            pathology="none",
            scans=("scan with a hole",),
            batch=Later("mededit_monai.training.palette_batch:PalettePrepareBatch"),
            preview={"steps": 20},
            training_options={"batch": (HOLE,)},
        ),
        defaults=lambda disease, condition, spatial_dims: {"steps": 50, "sampler": "ddpm"},
        region="image",
    ),
)

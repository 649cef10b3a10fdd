# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Med-DDPM (arXiv 2305.18453): whole volumes from their segmentation; no scan is edited."""

from __future__ import annotations

from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.methods.record import Network
from mededit_monai.sampling.levels import NOISE_SCHEDULES
from mededit_monai.space.conditions import CONDITIONINGS

#: Of the training, which is laid out in bundles/semantic_synthesis/configs/train.yaml.
MODALITIES_OPTION = Option(
    "modalities",
    "What is synthesized, one channel each: of t1, t1ce, t2, flair.",
    tuple,
    ("t1",),
    group="Data",
    recorded=True,
)

NOISE_SCHEDULE_OPTION = Option(
    "noise_schedule",
    "How noise grows with t; cosine as published.",
    default="cosine",
    choices=NOISE_SCHEDULES,
    group="Diffusion and network",
    recorded=True,
)

CONDITIONING_OPTION = Option(
    "conditioning",
    "How the network is told of the mask; concat as published.",
    default="concat",
    choices=CONDITIONINGS,
    group="Diffusion and network",
    recorded=True,
)

#: Noisy volumes of all modalities, and behind them what the mask says, a channel each: the brain, and the tumour
#: (``mask``) or its parts (``regions``).
MED_DDPM = Network(
    name="med_ddpm",
    weights=None,
    brain=True,
    pathology="own",
    spatial_dims=(3,),
    prediction="epsilon",
    batch=Later("mededit_monai.training.prepare_batch:MaskConditionedPrepareBatch"),
    training_options={"augmentation": (MODALITIES_OPTION,), "network": (NOISE_SCHEDULE_OPTION, CONDITIONING_OPTION)},
)

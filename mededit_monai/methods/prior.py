# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The default editor: a network that sees the scan itself and gives the change that a lesion makes to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.methods.record import METHODS, SAMPLING, Method, Network
from mededit_monai.space.conditions import CONDITION_DILATION


def _option(name: str, default: float, most: float, help: str) -> Option:
    group = "With --family prior"
    return Option(name, help, float, default, least=0, most=most, group=group, recorded=True)


#: Of a training, which is laid out in configs/prior_conditioned.yaml.
TRAINING_OPTIONS = {
    "augmentation": (
        _option("blur", 0.3, 1, "Share of the samples that are blurred; low resolution: half of it."),
        _option("noise", 0.5, 1, "Share of the samples that get Rician noise."),
    ),
    "batch": (
        _option("top_share", 0.3, 1, "Share of the samples at t = T - 1, where a single evaluation ends."),
        _option("zone_weight", 2.0, 1e6, "Added weight of the zone around the lesion, dilate(p, 25) without p."),
    ),
    "loss": (_option("gate_weight", 0.1, 1e6, "Weight of finding the region of change."),),
}


def _defaults(disease: Any, condition: str) -> Mapping[str, Any]:
    return {"steps": 2, "sampler": "ddim", "dilation": CONDITION_DILATION[condition]}


METHODS.add(
    "prior",
    Method(
        name="prior",
        summary="adds to the scan the change that the lesion makes",
        editor=Later("mededit_monai.methods.change_editor:ChangeEditor"),
        network=Network(
            name="prior",
            weights="model_prior.pt",
            brain=True,
            pathology="fused",
            scans=("prior scan",),
            state="y_t",
            prediction="sample",
            outputs=2,
            batch=Later("mededit_monai.training.prior_batch:PriorPrepareBatch"),
            loss=Later("mededit_monai.training.change_loss:ChangeLoss"),
            preview={"steps": 5},
            training_options=TRAINING_OPTIONS,
        ),
        takes=SAMPLING | {"guidance", "region", "dilation"},
        defaults=_defaults,
        finds_region=True,
        always_finds=True,
        tells_condition=True,
    ),
)

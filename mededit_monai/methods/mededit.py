# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MedEdit, the thesis's method: a network told of brain and lesion, resampled inpainting in a dilated mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mededit_monai.core.lazy import Later
from mededit_monai.methods.record import INPAINTING, METHODS, Method, Network
from mededit_monai.space.conditions import CONDITION_DILATION

#: The thesis's network: [x_t, b, p]. Its size for volumes is that of configs/volumes.yaml.
NETWORK = Network(
    name="mededit",
    weights=None,
    brain=True,
    pathology="own",
    size={3: {"channels": (32, 64, 128), "attention_levels": (False, False, True), "patch": 4}},
)

#: Laptop settings of methods that compose; the thesis's are configs/thesis_sampling.yaml.
COMPOSED: Mapping[str, Any] = {"steps": 50, "sampler": "ddpm", "resample": 2}


def _defaults(disease: Any, condition: str, spatial_dims: int) -> Mapping[str, Any]:
    return {**COMPOSED, "dilation": CONDITION_DILATION[condition]}


METHODS.add(
    "mededit",
    Method(
        name="mededit",
        summary="resampled inpainting in the dilated lesion mask (the thesis)",
        editor=Later("mededit_monai.methods.inpainting:MedEditEditor"),
        network=NETWORK,
        takes=INPAINTING | {"dilation", "region"},
        defaults=_defaults,
        finds_region=True,
    ),
)

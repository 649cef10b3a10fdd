# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edits of a phantom with the shipped weights, by every method; what they were when they were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

#: Settings that are tried with every method: one of each sampler and spacing.
SAMPLINGS = (
    {"steps": 4, "sampler": "ddpm", "spacing": "t"},
    {"steps": 3, "sampler": "ddim", "eta": 0.5, "spacing": "logsnr"},
    {"steps": 4, "sampler": "dpm2m", "spacing": "logsnr"},
)

#: Method → settings of its own.
METHODS: dict[str, dict[str, Any]] = {
    "prior": {},
    "mededit": {"resample": 2, "dilation": 25},
    "naive_repaint": {"resample": 2},
    "sdedit": {"start": 0.6},
    "palette": {},
    "palette_original": {},
}

#: Bundle → conditions, as far as weights are shipped for all methods.
CONDITIONS = {"stroke": ("mask", "box"), "tumor": ("mask", "regions")}

SIZE, PIECES = 128, 16


def runs() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Bundle, method, condition and settings of every recorded edit."""
    for bundle, conditions in CONDITIONS.items():
        for method, own in METHODS.items():
            for k, sampling in enumerate(SAMPLINGS):
                condition = conditions[k % 2]
                if condition == "regions" and method.startswith("palette"):
                    condition = "mask"
                yield bundle, method, condition, own | sampling
    yield "stroke", "prior", "mask", {"steps": 2, "sampler": "ddim", "spacing": "logsnr", "guidance": 1.5}
    yield "stroke", "mededit", "mask", {"steps": 3, "spacing": "t", "mode": "paper", "resample": 2, "dilation": 25}
    yield "stroke", "mededit", "mask", {
        "steps": 4,
        "spacing": "logsnr",
        "resample": 3,
        "jump": 2,
        "resample_above": 0.3,
    }


def phantom() -> dict[str, torch.Tensor]:
    """A round brain with two ventricles and some texture, and labels of a lesion (1, 2, 3), 1x1x128x128."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, SIZE),) * 2, indexing="ij")
    brain = (x**2 / 0.55 + y**2 / 0.75 < 1).astype(np.float32)
    image = 0.6 + 0.15 * np.sin(9 * x) * np.cos(7 * y) + 0.1 * x
    for side in (-1, 1):
        image = np.where((x - 0.15 * side) ** 2 / 0.008 + y**2 / 0.08 < 1, 0.1, image)
    away = np.hypot(x - 0.42, y - 0.1)
    lesion = (away < 0.22).astype(np.float32) + (away < 0.14) * 2.0 - (away < 0.08) * 2.0
    planes = {"prior": image * brain * 2 - 1, "brain": brain, "lesion": lesion * brain}
    return {k: torch.from_numpy(v.astype(np.float32))[None, None] for k, v in planes.items()}


def summary(image: torch.Tensor) -> list[float]:
    """Means of the image over a grid of 16x16 tiles, row by row."""
    return torch.nn.functional.adaptive_avg_pool2d(image.float(), PIECES).flatten().tolist()

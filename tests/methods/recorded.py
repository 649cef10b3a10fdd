# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Edits of a phantom with the shipped weights, by every method; what they were when they were recorded.

    python tests/methods/recorded.py morph

records those of a method anew, in tests/data/recorded_edits.json: once its weights are others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mededit_monai.space.conditions import condition_channels
from mededit_monai.workflows import bundle_content

FILE = Path(__file__).resolve().parents[1] / "data" / "recorded_edits.json"

#: Settings that are tried with every method: one of each sampler and spacing.
SAMPLINGS = (
    {"steps": 4, "sampler": "ddpm", "spacing": "t"},
    {"steps": 3, "sampler": "ddim", "eta": 0.5, "spacing": "logsnr"},
    {"steps": 4, "sampler": "dpm2m", "spacing": "logsnr"},
)

#: Method → settings of its own.
METHODS: dict[str, dict[str, Any]] = {
    "morph": {},
    "mededit": {"resample": 2, "dilation": 25},
    "naive_repaint": {"resample": 2},
    "sdedit": {"start": 0.6},
    "palette": {},
    "palette_original": {},
}

#: Methods without a record, and why. Taken out as soon as they have one.
UNRECORDED: dict[str, str] = {}

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
    yield "stroke", "morph", "mask", {"steps": 2, "sampler": "ddim", "spacing": "logsnr", "guidance": 1.5}
    yield "stroke", "mededit", "mask", {"steps": 3, "spacing": "t", "mode": "paper", "resample": 2, "dilation": 25}
    yield "stroke", "mededit", "mask", {
        "steps": 5,
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
    means = torch.nn.functional.adaptive_avg_pool2d(image.float(), PIECES).flatten().tolist()
    return [round(mean, 6) for mean in means]


def name_of(bundle: str, method: str, condition: str, settings: dict[str, Any]) -> str:
    """A run's key in the record."""
    return " ".join([bundle, method, condition, *(f"{key}={value}" for key, value in settings.items())])


def edited(bundle: str, method: str, condition: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Evaluations and summary of a run."""
    case = phantom()
    given = {"method": method, "condition": condition, "device": "cpu", "progress": False, **settings}
    given["spatial_dims"] = 2
    network, editor = bundle_content(bundle, ("network", "inferer"), **given)
    labels = case["lesion"][0] if condition == "regions" else (case["lesion"][0] > 0).float()
    channels = condition_channels(labels, condition)[None]
    edit = editor(case["prior"], network.eval(), case["brain"], channels, seeds=[11])
    return {"evaluations": edit.evaluations, "tiles": summary(edit.image)}


def main() -> None:
    """Record a method's edits; others are left as they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    method = parser.parse_args().method
    record = json.loads(FILE.read_bytes())
    record |= {name_of(*run): edited(*run) for run in runs() if run[1] == method}
    FILE.write_text(json.dumps(record, separators=(",", ":")), encoding="utf-8")
    if method in UNRECORDED:
        print(f"take {method} out of UNRECORDED")


if __name__ == "__main__":
    main()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training options: checked before anything is built, and turned into what MONAI and torch take."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from mededit_monai.datasets.caching import CACHE_MODES
from mededit_monai.errors import InputError, reporting_bad_input, require_choice, require_whole
from mededit_monai.families import FAMILIES
from mededit_monai.training.losses import LOSSES
from mededit_monai.training.palette_batch import HOLES
from mededit_monai.transforms.conditions import CONDITIONS

AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
LR_SCHEDULES = ("cosine", "constant")
PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")

logger = logging.getLogger(__name__)


def check_training_options(options: Mapping[str, Any]) -> None:
    """
    Check a training's options; bad input ends in one sentence.

    Args:
        options: the bundle's ``training_options`` section.
    """
    with reporting_bad_input():
        for name, known in (
            ("family", tuple(FAMILIES)),
            ("loss_kind", tuple(LOSSES)),
            ("prediction_type", PREDICTION_TYPES),
            ("lr_schedule", LR_SCHEDULES),
            ("amp", (None, *AMP_TYPES)),
            ("cache", CACHE_MODES),
            ("condition", CONDITIONS),
        ):
            require_choice(name, options[name], known)
        _check_family(options)
        whole = [
            "max_epochs",
            "batch_size",
            "accumulation_steps",
            "val_interval",
            "cohort_size",
            "validation_size",
        ]  # noqa: SIM905
        for name in whole:
            require_whole(name, options[name], 1)
        for name, value in options["shares"].items():
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InputError(f"--{name}: got {value!r}, wanted a share between 0 and 1.")
        if not isinstance(options["learning_rate"], (int, float)) or options["learning_rate"] <= 0:
            raise InputError(f"--learning_rate: got {options['learning_rate']!r}, wanted a positive number.")
        if not isinstance(options["ema_decay"], (int, float)) or not 0 <= options["ema_decay"] < 1:
            raise InputError(f"--ema_decay: got {options['ema_decay']!r}, wanted at least 0 (no average) and below 1.")
        if options["amp"] is not None and torch.device(options["device"]).type == "cpu":
            logger.warning("--amp %s: has no effect without a GPU; training in single precision.", options["amp"])


def _check_family(options: Mapping[str, Any]) -> None:
    """Refuse what a family of networks cannot be trained with."""
    family = options["family"]
    holes = FAMILIES[family].pathology == "none"
    if holes and options["condition"] == "regions":
        raise InputError(f"--condition: got 'regions', but {family} is not told of regions; wanted mask or box.")
    if options.get("hole") is not None:
        require_choice("hole", options["hole"], HOLES)
        if not holes:
            raise InputError(
                f"--hole: applies to palette and palette_original, but --family is {family}; leave train_palette.yaml "
                "out."
            )


def autocast_options(amp: str | None) -> dict[str, Any]:
    """Keywords of ``torch.autocast`` for ``fp16``, ``bf16`` or None."""
    return {} if amp is None else {"dtype": AMP_TYPES[amp]}


def learning_rate_factor(schedule: str, warmup: int, total: int) -> Callable[[int], float]:
    """
    Factor on the learning rate at an iteration: a linear rise over ``warmup``, times 1 (``constant``) or a half cosine
    from 1 to 0 over ``total`` iterations (``cosine``).
    """

    def factor(iteration: int) -> float:
        rise = min(1.0, (iteration + 1) / max(1, warmup))
        if schedule == "constant":
            return rise
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, iteration / max(1, total))))

    return factor

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training options: checked before anything is built, and turned into what MONAI and torch take."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input, require_choice, require_number, require_whole
from mededit_monai.datasets.caching import CACHE_MODES
from mededit_monai.methods.conditions import CONDITIONS
from mededit_monai.methods.families import FAMILIES
from mededit_monai.training.losses import LOSSES
from mededit_monai.training.palette_batch import HOLES

AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
LR_SCHEDULES = ("cosine", "constant")
PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")

#: Whole numbers: least and most.
WHOLE = {
    "max_epochs": (1, 10**7),
    "batch_size": (1, 65536),
    "accumulation_steps": (1, 65536),
    "val_interval": (1, 10**7),
    "preview_interval": (0, 10**7),
    "cohort_size": (1, 10**7),
    "validation_size": (1, 10**7),
    "warmup_iterations": (0, 10**9),
    "num_workers": (0, 256),
    "seed": (0, 2**63 - 1),
}

#: Numbers that need not be given: least and most.
NUMBERS = {"min_snr_gamma": (1e-6, 1e6), "lesion_weight": (0, 1e6), "clip_norm": (0, 1e6)}

#: Largest learning rate: with any above, no network has ever learned anything.
LARGEST_RATE = 10

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
        for name, (least, most) in WHOLE.items():
            require_whole(name, options.get(name), least, optional=name not in options, most=most)
        for name, value in options["shares"].items():
            if not _is_number(value) or not 0 <= value <= 1:
                raise InputError(f"--{name}: got {value!r}, wanted a share between 0 and 1.")
        for name, (low, high) in NUMBERS.items():
            require_number(name, options.get(name), low, high, optional=True)
        for name, value in options.get("switches", {}).items():
            require_choice(name, value, (True, False))
        for name, value in options.get("paths", {}).items():
            _require_path(name, value)
        require_rate(options["learning_rate"])
        require_ema_decay(options["ema_decay"])
        if options["device"] is None:
            raise InputError("--device: got null, wanted cpu, cuda, …; leave it out for a GPU if there is one.")
        require_device(options["device"])
        if options["amp"] is not None and torch.device(options["device"]).type == "cpu":
            logger.warning("--amp %s: has no effect without a GPU; training in single precision.", options["amp"])


def require_rate(value: Any) -> None:
    """Raises InputError for what is no learning rate."""
    if not _is_number(value) or not 0 < value <= LARGEST_RATE:
        raise InputError(f"--learning_rate: got {value!r}, wanted a positive number of at most {LARGEST_RATE}.")


def require_ema_decay(value: Any) -> None:
    """Raises InputError for what is no decay of an average."""
    if not _is_number(value) or not 0 <= value < 1:
        raise InputError(f"--ema_decay: got {value!r}, wanted at least 0 (no average) and below 1.")


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _require_path(name: str, value: Any) -> None:
    """Paths are text; a list of cases may be given as such."""
    if isinstance(value, (str, os.PathLike)) and str(value).strip() and "\0" not in str(value):
        return
    if value is None and name != "output_dir":
        return
    if name == "datalist" and isinstance(value, (list, dict)):
        return
    raise InputError(f"--{name}: got {value!r}, wanted the path of a file or folder; give it as text.")


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

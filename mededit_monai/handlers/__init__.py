# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MONAI and Ignite handlers; each is imported when it is asked for, as an edit needs two of them."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "case_progress": ("CaseProgress",),
    "changed_region": ("ChangedRegion",),
    "checkpoint": ("TrainingCheckpoint",),
    "displacement_error": ("DisplacementError",),
    "edit_writer": ("EditWriter",),
    "ema": ("ExponentialMovingAverage",),
    "evaluator": ("EditEvaluator",),
    "guards": ("EpochSetter", "FiniteLoss", "GradientClipper"),
    "judging": ("JudgeEdits",),
    "latent_scale": ("LatentScale",),
    "metrics": ("CaseTable", "EditMetric"),
    "noise_level_loss": ("NoiseLevelLoss",),
    "quick_edit": ("QuickEdit",),
    "training_log": ("TrainingLog",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MONAI and Ignite handlers."""

from mededit_monai.handlers.changed_region import ChangedRegion
from mededit_monai.handlers.checkpoint import TrainingCheckpoint
from mededit_monai.handlers.edit_writer import EditWriter
from mededit_monai.handlers.ema import ExponentialMovingAverage
from mededit_monai.handlers.evaluator import EditEvaluator
from mededit_monai.handlers.guards import EpochSetter, FiniteLoss, GradientClipper
from mededit_monai.handlers.judging import JudgeEdits
from mededit_monai.handlers.metrics import CaseTable, EditMetric
from mededit_monai.handlers.noise_level_loss import NoiseLevelLoss
from mededit_monai.handlers.quick_edit import QuickEdit
from mededit_monai.handlers.training_log import TrainingLog

__all__ = [
    "ChangedRegion",
    "CaseTable",
    "EditEvaluator",
    "EditMetric",
    "EditWriter",
    "EpochSetter",
    "ExponentialMovingAverage",
    "FiniteLoss",
    "GradientClipper",
    "JudgeEdits",
    "NoiseLevelLoss",
    "QuickEdit",
    "TrainingCheckpoint",
    "TrainingLog",
]

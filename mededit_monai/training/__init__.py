# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Batch preparation for training."""

from mededit_monai.training.lesion_free import RandLesionFreed
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, training_target

__all__ = ["MaskConditionedPrepareBatch", "RandLesionFreed", "training_target"]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Batch preparation, losses, warm start and several processes."""

from mededit_monai.training.build import build_loss, build_prepare_batch
from mededit_monai.training.lesion_free import RandLesionFreed
from mededit_monai.training.losses import DenoisingLoss, min_snr_weight
from mededit_monai.training.network import prepared_network, warm_start
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, training_target

__all__ = [
    "DenoisingLoss",
    "MaskConditionedPrepareBatch",
    "RandLesionFreed",
    "build_loss",
    "build_prepare_batch",
    "min_snr_weight",
    "prepared_network",
    "training_target",
    "warm_start",
]

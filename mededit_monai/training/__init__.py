# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Batch preparation, losses, warm start and several processes."""

from mededit_monai.training.build import build_loss, build_prepare_batch, build_training_inferer
from mededit_monai.training.change_loss import ChangeLoss
from mededit_monai.training.lesion_free import RandLesionFreed
from mededit_monai.training.load import LoadWholed
from mededit_monai.training.losses import DenoisingLoss, min_snr_weight
from mededit_monai.training.network import prepared_network, warm_start
from mededit_monai.training.palette_batch import HoleInferer, OriginalPalettePrepareBatch, PalettePrepareBatch
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, training_target
from mededit_monai.training.prior_batch import PriorPrepareBatch

__all__ = [
    "ChangeLoss",
    "DenoisingLoss",
    "HoleInferer",
    "LoadWholed",
    "MaskConditionedPrepareBatch",
    "OriginalPalettePrepareBatch",
    "PalettePrepareBatch",
    "PriorPrepareBatch",
    "RandLesionFreed",
    "build_loss",
    "build_prepare_batch",
    "build_training_inferer",
    "min_snr_weight",
    "prepared_network",
    "training_target",
    "warm_start",
]

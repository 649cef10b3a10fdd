# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the families of networks in a training: the batch, the noising and the loss."""

from __future__ import annotations

from typing import Any

from monai.engines.utils import PrepareBatch
from monai.inferers import DiffusionInferer
from monai.networks.schedulers import Scheduler
from torch import nn

from mededit_monai.training.change_loss import ChangeLoss
from mededit_monai.training.losses import DenoisingLoss
from mededit_monai.training.palette_batch import HoleInferer, OriginalPalettePrepareBatch, PalettePrepareBatch
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch
from mededit_monai.training.prior_batch import PriorPrepareBatch

#: Family (see :mod:`mededit_monai.methods.families`) → its batch preparation; its loss, training inferer if not usual.
PREPARE_BATCH: dict[str, type[PrepareBatch]] = {
    "composed": MaskConditionedPrepareBatch,
    "palette": PalettePrepareBatch,
    "palette_original": OriginalPalettePrepareBatch,
    "prior": PriorPrepareBatch,
}
LOSS: dict[str, type[nn.Module]] = {"prior": ChangeLoss}
INFERER: dict[str, type[DiffusionInferer]] = {"palette_original": HoleInferer}


def build_prepare_batch(family: str, scheduler: Scheduler, **settings: Any) -> PrepareBatch:
    """The batch preparation of a family; settings as for :class:`MaskConditionedPrepareBatch`."""
    return PREPARE_BATCH[family](scheduler=scheduler, **settings)


def build_loss(family: str, kind: str = "mse", **settings: Any) -> nn.Module:
    """The loss of a family; ``kind`` as for :class:`DenoisingLoss`, settings as for the family's own."""
    return LOSS.get(family, DenoisingLoss)(kind=kind, **settings)


def build_training_inferer(family: str, scheduler: Scheduler) -> DiffusionInferer:
    """What noises the image and asks the network in a training of a family."""
    return INFERER.get(family, DiffusionInferer)(scheduler=scheduler)

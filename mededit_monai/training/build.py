# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the families of networks in a training: the batch and the loss."""

from __future__ import annotations

from typing import Any

from monai.engines.utils import PrepareBatch
from monai.networks.schedulers import Scheduler
from torch import nn

from mededit_monai.training.losses import DenoisingLoss
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch

#: Family (see :mod:`mededit_monai.families`) → its batch preparation and its loss.
PREPARE_BATCH: dict[str, type[PrepareBatch]] = {"composed": MaskConditionedPrepareBatch}
LOSS: dict[str, type[nn.Module]] = {"composed": DenoisingLoss}


def build_prepare_batch(family: str, scheduler: Scheduler, **settings: Any) -> PrepareBatch:
    """The batch preparation of a family; settings as for :class:`MaskConditionedPrepareBatch`."""
    return PREPARE_BATCH[family](scheduler=scheduler, **settings)


def build_loss(family: str, kind: str = "mse") -> nn.Module:
    """The loss of a family; ``kind`` as for :class:`DenoisingLoss`."""
    return LOSS[family](kind=kind)

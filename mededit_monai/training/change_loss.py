# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the prior-conditioned network: the change it predicts, and where."""

from __future__ import annotations

import torch
from torch import nn

from mededit_monai.methods.change import gated_change
from mededit_monai.training.losses import DenoisingLoss, Target


class ChangeLoss(DenoisingLoss):
    """
    mean(w · d(σ(l) c, y0)) + λ mean(w · BCE(l, r)), with d the squared, absolute or Huber (δ = 1) difference.

    Args:
        kind: ``mse``, ``l1`` or ``huber``.
        gate_weight: λ.
    """

    def __init__(self, kind: str = "mse", gate_weight: float = 0.1) -> None:
        super().__init__(kind)
        self.gate_weight = gate_weight

    def forward(self, prediction: torch.Tensor, target: Target) -> torch.Tensor:
        """
        Args:
            prediction: Nx2xHxW[xD], change c and logit l of the region of change.
            target: ``value`` y0, ``region`` r and ``weight`` w, Nx1xHxW[xD] each.
        """
        prediction = prediction.float()
        change = self.difference(gated_change(prediction), target["value"])
        gate = nn.functional.binary_cross_entropy_with_logits(prediction[:, 1:2], target["region"], reduction="none")
        return (target["weight"] * (change + self.gate_weight * gate)).mean()

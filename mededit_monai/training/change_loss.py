# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the prior-conditioned network: the change it predicts, and where."""

from __future__ import annotations

import torch
from torch import nn

from mededit_monai.methods.change import gated_change
from mededit_monai.training.losses import LOSSES


class ChangeLoss(nn.Module):
    """
    mean(w · d(σ(l) c, y0)) + λ mean(w · BCE(l, r)), with d the squared, absolute or Huber (δ = 1) difference.

    Args:
        kind: ``mse``, ``l1`` or ``huber``.
        gate_weight: λ.
    """

    def __init__(self, kind: str = "mse", gate_weight: float = 0.1) -> None:
        super().__init__()
        if kind not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {kind!r}.")
        self.kind, self.gate_weight = kind, gate_weight

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """
        Args:
            prediction: Nx2xHxW[xD], change c and logit l of the region of change.
            target: Nx3xHxW[xD] of :class:`~mededit_monai.training.PriorPrepareBatch`: y0, r and weight w.
        """
        prediction = prediction.float()
        wanted, region, weight = target[:, :1], target[:, 1:2], target[:, 2:3]
        change = LOSSES[self.kind](gated_change(prediction), wanted, reduction="none")
        gate = nn.functional.binary_cross_entropy_with_logits(prediction[:, 1:2], region, reduction="none")
        return (weight * (change + self.gate_weight * gate)).mean()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The denoising loss, weighted by noise level and by lesion."""

from __future__ import annotations

import torch
from torch import nn

LOSSES = {"mse": nn.functional.mse_loss, "l1": nn.functional.l1_loss, "huber": nn.functional.huber_loss}


class DenoisingLoss(nn.Module):
    """
    mean(w · d(prediction, target)), with d the squared, absolute or Huber (δ = 1) difference.

    MONAI's trainer hands a loss nothing but prediction and target, so the weights w ride behind the target's channels,
    where :class:`~mededit_monai.training.MaskConditionedPrepareBatch` puts them.

    Args:
        kind: ``mse``, ``l1`` or ``huber``.
    """

    def __init__(self, kind: str = "mse") -> None:
        super().__init__()
        if kind not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {kind!r}.")
        self.kind = kind

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """
        Args:
            prediction: NxCxHxW[xD].
            target: Nx(C+1)xHxW[xD], weights last; or NxC…, unweighted.
        """
        channels = prediction.shape[1]
        wanted, weight = target[:, :channels], target[:, channels:]
        difference = LOSSES[self.kind](prediction.float(), wanted, reduction="none")
        return (difference * weight).mean() if weight.shape[1] else difference.mean()


def min_snr_weight(alpha_bar: torch.Tensor, gamma: float, prediction_type: str) -> torch.Tensor:
    """
    Min-SNR-γ weights (Hang et al. 2023, section 3.4) with SNR = ᾱ/(1-ᾱ), in terms of each parametrisation's own loss.

    x0: min(SNR, γ); ε: min(SNR, γ)/SNR; v: min(SNR, γ)/(SNR + 1).

    Args:
        alpha_bar: ᾱ of each case, N values in (0, 1).
        gamma: 5 in the paper.
    """
    snr = alpha_bar / (1 - alpha_bar)
    capped = snr.clamp(max=gamma)
    if prediction_type == "sample":
        return capped
    return capped / (snr if prediction_type == "epsilon" else snr + 1)


def region_weight(region: torch.Tensor) -> torch.Tensor:
    """
    Weights of a loss that counts inside a region only: √(all pixels / the region's pixels) there, 0 elsewhere.

    Halfway between pixels that count alike, where large regions drown small ones, and cases that count alike, where a
    region of a few pixels makes most of the noise.

    Args:
        region: bool, Nx1xHxW[xD]; an empty one gets no weight.
    """
    inside = region.float()
    share = inside.flatten(1).mean(dim=1).clamp(min=1 / inside[0].numel())
    return inside / share.sqrt().view(-1, *[1] * (inside.ndim - 1))

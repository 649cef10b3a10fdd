# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The denoising loss, weighted by noise level and by lesion."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import nn

from mededit_monai.training.options import LOSS_KINDS


class Target(TypedDict, total=False):
    """
    What a prediction is held against, as MONAI's engines pass it from the batch to the loss.

    A plain dictionary at run time, so that MONAI can take a batch of them apart.

    Args:
        value: what the network shall predict, NxCxHxW[xD].
        weight: of every pixel in the loss, Nx1xHxW[xD]; absent: all count alike.
        taper, atrophy, pixel_mm: what the loss of the effects network makes a displacement with.
        ventricles, free: shares of each pixel that are ventricle and not lesion; absent: not known.
    """

    value: torch.Tensor
    weight: torch.Tensor
    taper: torch.Tensor
    atrophy: torch.Tensor
    pixel_mm: torch.Tensor
    ventricles: torch.Tensor
    free: torch.Tensor


def target_size(target: Target) -> int:
    """Cases in a target, for Ignite's metrics."""
    return len(target["value"])


class DenoisingLoss(nn.Module):
    """
    mean(w · d(prediction, value)), with d the squared, absolute or Huber (δ = 1) difference.

    Args:
        kind: ``mse``, ``l1`` or ``huber``.
    """

    def __init__(self, kind: str = "mse") -> None:
        super().__init__()
        if kind not in LOSS_KINDS:
            raise ValueError(f"loss must be one of {', '.join(LOSS_KINDS)}, got {kind!r}.")
        self.kind = kind

    def forward(self, prediction: torch.Tensor, target: Target) -> torch.Tensor:
        """
        Args:
            prediction: NxCxHxW[xD].
            target: ``value`` of the same shape and perhaps ``weight``.
        """
        difference = self.difference(prediction.float(), target["value"])
        return (difference * target["weight"] if "weight" in target else difference).mean()

    def difference(self, found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """d, pixel by pixel."""
        by_pixel: torch.Tensor = getattr(nn.functional, f"{self.kind}_loss")(found, wanted, reduction="none")
        return by_pixel


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


def velocity_weight(alpha_bar: torch.Tensor, most: float = 10.0) -> torch.Tensor:
    """
    Weights 1/(1-ᾱ) that make a squared error of x0 one of v (Salimans & Ho 2022, section 4); at most ``most``, or what
    is nearly clean would be all that counts.

    Args:
        alpha_bar: ᾱ of each case, N values in (0, 1).
    """
    return (1 / (1 - alpha_bar)).clamp(max=most)


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

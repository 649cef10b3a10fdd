# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the effects network: where its flow takes a point, and how far people differ in how much moves."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from mededit_monai.core.errors import InputError
from mededit_monai.space.flow import flow, pull
from mededit_monai.training.losses import Target

#: Velocity in pixels below which the loss takes a point for still. A little less than in an edit: small means learn to
#: climb over any bar that is in their loss.
STILL = 0.08

#: The strength of one case says something only where the network moves something: largest |û| in mm.
STRENGTH_MM = 1.0

#: Least strength that is observed.
SMALLEST_STRENGTH = 0.05


class Moved(NamedTuple):
    """A batch's prediction against its target, on half of the grid: fields Nxnx(S/2) in mm, ln σ of N cases."""

    found: torch.Tensor
    wanted: torch.Tensor
    log_spread: torch.Tensor


class EffectsLoss(nn.Module):
    """
    Σ w (|û - u|² + μ |∇(û - u)|²) / Σ w in mm², λ times the negative log-likelihood of the strength, and κ times the
    squared error of how far the ventricles' walls move on average (see :func:`ventricle_error`).

    Volumes change by the slopes of u, which the first term hardly sees in structures as thin as ventricles. The first
    two terms are least for the mean displacement, the last for the mean change of the ventricles.

    Args:
        kind: ``mse``.
        strength_weight: λ.
        slope_weight: μ in mm².
        ventricle_weight: κ; of cases whose ventricles are known.

    Raises:
        InputError: another kind.
    """

    def __init__(
        self,
        kind: str = "mse",
        strength_weight: float = 0.01,
        slope_weight: float = 30.0,
        ventricle_weight: float = 5.0,
    ) -> None:
        super().__init__()
        if kind != "mse":
            raise InputError(f"--loss_kind: got '{kind}', wanted mse with --family effects; leave it out.")
        self.kind, self.strength_weight = kind, strength_weight
        self.slope_weight, self.ventricle_weight = slope_weight, ventricle_weight

    def forward(self, prediction: torch.Tensor, target: Target) -> torch.Tensor:
        """
        Args:
            prediction: Nx(2n+1)x(S/2), of :class:`~mededit_monai.networks.effects_network.EffectsNetwork`.
            target: ``value`` u Nxnx(S/2) in mm, ``weight`` w and ``taper`` Nx1x(S/2), ``atrophy`` G and ``pixel_mm``
                of N cases; perhaps ``ventricles`` and ``free`` Nx1x(S/2), shares of each pixel that are ventricle and
                not lesion.
        """
        moved, weight = displacements(prediction, target), target["weight"]
        squares = (moved.found - moved.wanted).square().sum(dim=1, keepdim=True)
        total = (weight * squares).sum()
        if self.slope_weight:
            total = total + self.slope_weight * slope_error(moved, weight, target["pixel_mm"])
        loss = total / weight.sum().clamp(min=1e-6)
        if self.ventricle_weight and "ventricles" in target:
            error = ventricle_error(moved, target["ventricles"], target["free"], target["pixel_mm"])
            loss = loss + self.ventricle_weight * error.square().mean()
        if self.strength_weight:
            loss = loss + self.strength_weight * strength_loss(moved, target["atrophy"])
        return loss


def slope_error(moved: Moved, weight: torch.Tensor, pixel_mm: torch.Tensor) -> torch.Tensor:
    """Σ w |∇(û - u)|² by differences between neighbours; a pair has the smaller of its two weights."""
    off = moved.found - moved.wanted
    step = 2 * pixel_mm.view(-1, *[1] * (off.ndim - 1))
    total = off.new_zeros(())
    for axis in range(2, off.ndim):
        behind, ahead = (off.narrow(axis, first, off.shape[axis] - 1) for first in (0, 1))
        pair = torch.minimum(*(weight.narrow(axis, first, off.shape[axis] - 1) for first in (0, 1)))
        total = total + (pair * ((ahead - behind) / step).square()).sum()
    return total


def ventricle_error(moved: Moved, ventricles: torch.Tensor, free: torch.Tensor, pixel_mm: torch.Tensor) -> torch.Tensor:
    """
    Error of the ventricles' change outside p as a mean motion of their walls: its difference over their surface, N in
    mm; 0 where there are none.

    Args:
        ventricles, free: shares of each pixel, Nx1x(S/2); pixel_mm: of the whole grid, N.
    """
    step = 2 * pixel_mm.view(-1, *[1] * (ventricles.ndim - 1))
    found, wanted = (pull(ventricles, field / step) for field in (moved.found, moved.wanted))
    difference = (free * (found - wanted)).flatten(1).sum(dim=1)
    sides = [ventricles.diff(dim=axis).abs().flatten(1).sum(dim=1) for axis in range(2, ventricles.ndim)]
    surface = torch.stack(sides).sum(dim=0)
    return 2 * pixel_mm * torch.where(surface > 0, difference / surface.clamp(min=1.0), 0.0)


def displacements(prediction: torch.Tensor, target: Target) -> Moved:
    """
    û = exp(taper (v + G w)) and what it should be.

    Where the velocity is below ``STILL`` û is 0, as it is in an edit; its gradient passes as if it were not, or a
    network that starts at 0 would stay there.
    """
    prediction, n = prediction.float(), target["value"].shape[1]
    pixel = target["pixel_mm"].view(-1, *[1] * (n + 1))
    amount = target["atrophy"].view_as(pixel)
    velocity = (prediction[:, :n] + amount * prediction[:, n : 2 * n]) * target["taper"] / pixel
    size = velocity.detach().square().sum(dim=1, keepdim=True).sqrt()
    keep = ((size - STILL) / (2 * STILL)).clamp(0, 1)
    found = flow(velocity / 2) * (2 * pixel)
    found = found + (found * (keep - 1)).detach()
    return Moved(found, target["value"], prediction[:, -1].flatten(1)[:, 0])


def observed_strength(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """max(0.05, ⟨u, û⟩ / ⟨û, û⟩), N: how much of what was expected did happen."""
    inner = (found * wanted).flatten(1).sum(dim=1)
    return (inner / found.square().flatten(1).sum(dim=1).clamp(min=1e-6)).clamp(min=SMALLEST_STRENGTH)


def strength_loss(moved: Moved, atrophy: torch.Tensor) -> torch.Tensor:
    """
    Mean of -ln N(ln s; -σ²/2, σ²) without its constant over the cases that tell: those that move by more than 1 mm
    somewhere, without remote atrophy, which would count as the lesion's own effect.

    The mean of s is 1 under this law. û is held fixed: strength must not be bought with a worse displacement.
    """
    found = moved.found.detach()
    tells = (found.square().sum(dim=1).flatten(1).amax(dim=1) > STRENGTH_MM**2) & (atrophy == 0)
    if not bool(tells.any()):
        return moved.log_spread.sum() * 0
    log_strength = observed_strength(found, moved.wanted)[tells].log()
    log_spread = moved.log_spread[tells]
    variance = (2 * log_spread).exp()
    return (log_spread + (log_strength + variance / 2).square() / (2 * variance)).mean()

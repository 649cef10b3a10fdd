# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""DDIM: deterministic, or with a share η of DDPM's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mededit_monai.sampling.formulas import Noise, posterior_step
from mededit_monai.sampling.levels import NoiseLevels
from mededit_monai.sampling.sampler import SAMPLERS, Estimate, Sampler

if TYPE_CHECKING:
    import torch


class DDIM(Sampler):
    """
    Song et al. 2021, eq. 12 and 16.

    Args:
        eta: 0 deterministic, 1 equal to DDPM.

    Raises:
        ValueError: eta outside [0, 1].
    """

    options = ("eta",)

    def __init__(self, levels: NoiseLevels, noise: Noise, eta: float = 0.0) -> None:
        super().__init__(levels, noise)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {eta}.")
        self.eta = float(eta)

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        """√ᾱ_s x̂0 + √(1-ᾱ_s-σ²) ε + σ z, with the ε that belongs to x̂0."""
        return posterior_step(self.levels, x_t, estimate(x_t, t), t, s, self.eta, self.noise)


SAMPLERS.add("ddim", DDIM)

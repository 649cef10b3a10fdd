# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""DPM-Solver++(2M): deterministic, second order, one evaluation a step."""

from __future__ import annotations

from math import log, sqrt
from typing import TYPE_CHECKING

from mededit_monai.sampling.formulas import Noise
from mededit_monai.sampling.levels import NoiseLevels
from mededit_monai.sampling.sampler import SAMPLERS, Estimate, Sampler

if TYPE_CHECKING:
    import torch


class DPM2M(Sampler):
    """
    Lu et al. 2022, algorithm 2: x_s = (σ_s/σ_t) x_t + √ᾱ_s (1 - e^-h) D with D = x̂0 + h/(2 h') (x̂0 - x̂0'),
    h = λ_s - λ_t, primes for the step before. The first step and the last are first order.
    """

    def __init__(self, levels: NoiseLevels, noise: Noise) -> None:
        super().__init__(levels, noise)
        self._last: tuple[float, torch.Tensor] | None = None

    def forget(self) -> None:
        """Drop the estimate of the step before."""
        self._last = None

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        """One move down from level t to level s."""
        x0 = estimate(x_t, t)
        if s < 0:
            return x0
        bar_t, bar_s = self.levels.alpha_bar(t), self.levels.alpha_bar(s)
        lambda_t, lambda_s = (0.5 * log(bar / (1 - bar)) for bar in (bar_t, bar_s))
        h, target = lambda_s - lambda_t, x0
        if self._last is not None:
            lambda_last, x0_last = self._last
            target = x0 + h / (2 * (lambda_t - lambda_last)) * (x0 - x0_last)
        self._last = (lambda_t, x0)
        shrink = sqrt((1 - bar_s) / (1 - bar_t))
        # √ᾱ_s (1 - e^-h), written without the difference of nearly equal numbers that small h would bring
        return shrink * x_t + (sqrt(bar_s) - shrink * sqrt(bar_t)) * target


SAMPLERS.add("dpm2m", DPM2M)

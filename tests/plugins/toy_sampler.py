# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A sampler of two evaluations a step in one file outside the package: Heun's method.
``MEDEDIT_PLUGINS=toy_sampler.py mededit edit --sampler heun`` knows it.
"""

from __future__ import annotations

from math import sqrt

import torch

from mededit_monai.sampling.sampler import SAMPLERS, Estimate, Sampler


class Heun(Sampler):
    """
    Karras et al. 2022, algorithm 1, in y = x/√ᾱ and σ = √((1-ᾱ)/ᾱ), where dy/dσ = (y - x̂0)/σ: an Euler step, then the
    mean of the slopes at its two ends. The last step, to σ = 0, is Euler's, which ends at x̂0 itself.
    """

    evaluations = 2

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        """One move down from level t to level s."""
        x0 = estimate(x_t, t)
        if s < 0:
            return x0
        sigma_t, sigma_s = self.sigma(t), self.sigma(s)
        scale_t, scale_s = sqrt(self.levels.alpha_bar(t)), sqrt(self.levels.alpha_bar(s))
        y = x_t / scale_t
        slope = (y - x0) / sigma_t
        euler = y + (sigma_s - sigma_t) * slope
        there = (euler - estimate(scale_s * euler, s)) / sigma_s
        return scale_s * (y + (sigma_s - sigma_t) * (slope + there) / 2)

    def sigma(self, level: int) -> float:
        """Noise per signal."""
        bar = self.levels.alpha_bar(level)
        return sqrt((1 - bar) / bar)


SAMPLERS.add("heun", Heun)

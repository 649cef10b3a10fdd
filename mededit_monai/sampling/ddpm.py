# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""DDPM: draw from the posterior q(x_s | x_t, x̂0), for any stride."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mededit_monai.sampling.formulas import posterior_step
from mededit_monai.sampling.sampler import SAMPLERS, Estimate, Sampler

if TYPE_CHECKING:
    import torch


class DDPM(Sampler):
    """Ancestral sampling (Ho et al. 2020, eq. 6 and 7)."""

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        """A draw from q(x_s | x_t, x̂0)."""
        return posterior_step(self.levels, x_t, estimate(x_t, t), t, s, 1.0, self.noise)


SAMPLERS.add("ddpm", DDPM)

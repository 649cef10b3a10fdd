# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a training draws for every case by its seed: its noise level, and what the network is told of the lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.networks.schedulers import Scheduler
from scipy.special import ndtri

from mededit_monai.space.conditions import condition_channels, fused_channels

#: How often each condition is drawn, relative to the others that the data have.
CONDITION_SHARES = {"mask": 3, "box": 1, "regions": 2}

#: Mean, by the spatial dimensions, and standard deviation of λ among the levels that are drawn. A mean over n pixels
#: has n times their ratio of signal to noise: what is alike in a lesion n slices deep is settled at λ lower by ½ ln n.
LAMBDA_MEAN, LAMBDA_SD = {2: -0.5, 3: -2.0}, 2.0


class DrawnLevels:
    """
    Noise levels where a network learns most: λ = ½ ln(ᾱ/(1-ᾱ)) is normal, λ ~ N(-0.5, 2²) for slices and N(-2, 2²) for
    volumes, and a share of the cases is at t = T-1, where every sampler starts.

    The law is that of Karras et al. (NeurIPS 2022, Elucidating the design space of diffusion-based generative models),
    table 1, but noisier and wider: what a large lesion is like on the whole is settled where a pixel is little more
    than noise (Hoogeboom et al., ICML 2023, Simple diffusion), and fine texture where there is hardly any.

    Args:
        scheduler: source of ᾱ.
        top_share: share of the cases at t = T-1.
        spatial_dims: 2 for slices, 3 for volumes.
    """

    def __init__(self, scheduler: Scheduler, top_share: float = 0.1, spatial_dims: int = 2) -> None:
        alpha_bar = scheduler.alphas_cumprod.double().cpu().numpy()
        self.mean = LAMBDA_MEAN[spatial_dims]
        self._lambda, self.top_share = 0.5 * np.log(alpha_bar / (1 - alpha_bar)), top_share

    def level(self, share: float) -> int:
        """The timestep below which a ``share`` in [0, 1) of all draws is: the quantile function of the levels."""
        if share >= 1 - self.top_share:
            return len(self._lambda) - 1
        wanted = self.mean - LAMBDA_SD * float(ndtri(share / (1 - self.top_share)))
        return int(np.abs(self._lambda - wanted).argmin())

    def draw(self, seeds: Sequence[int], known: Sequence[str], even: str | None) -> tuple[torch.Tensor, list[str]]:
        """
        Timestep and condition of every case.

        Args:
            seeds: a seed per case; known: the conditions that the data have.
            even: for validation: the condition of all, with levels spread evenly over the batch; None draws both.
        """
        if even is not None:
            shares = (np.arange(len(seeds)) + 0.5) / len(seeds)
            return torch.tensor([self.level(share) for share in shares]), [even] * len(seeds)
        rngs = [np.random.default_rng(seed) for seed in seeds]
        levels = [self.level(rng.random()) for rng in rngs]
        return torch.tensor(levels), [drawn_condition(rng, known) for rng in rngs]


def drawn_condition(rng: np.random.Generator, known: Sequence[str]) -> str:
    """One of the conditions that the data have."""
    odds = np.array([CONDITION_SHARES[name] for name in known], dtype=float)
    return str(rng.choice(list(known), p=odds / odds.sum()))


def told_channels(masks: Mapping[str, torch.Tensor], conditions: Sequence[str]) -> torch.Tensor:
    """
    What the network is told of each case's lesion.

    Args:
        masks: condition → Nx1xS that it is made from; conditions: N of their names.

    Returns:
        Nx5xS, see :func:`~mededit_monai.space.conditions.fused_channels`.
    """
    channels = [
        fused_channels(condition_channels(masks[name][k], name)[None], name) for k, name in enumerate(conditions)
    ]
    return torch.cat(channels)


def condition_masks(pathology: torch.Tensor, regions: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Condition → the mask that it is made from, for the conditions that the data have."""
    return {"mask": pathology, "box": pathology} | ({} if regions is None else {"regions": regions})

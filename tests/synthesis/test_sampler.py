# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Samples against a Gaussian whose noise prediction is known in closed form."""

from __future__ import annotations

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from mededit_monai.synthesis.sampler import MaskToVolume

SCHEDULER = DDPMScheduler(num_train_timesteps=250, schedule="cosine", prediction_type="epsilon")
MEANS = torch.tensor([-0.3, 0.1]).view(1, 2, 1, 1, 1)


class Gaussian:
    """E[ε | x_t] of x0 ~ N(mean, spread²): √(1-ᾱ) (x_t - √ᾱ mean) / (ᾱ spread² + 1 - ᾱ)."""

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        bar = SCHEDULER.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
        return (1 - bar).sqrt() * (x[:, :2] - bar.sqrt() * MEANS) / (bar * self.spread**2 + 1 - bar)


def told(count: int = 1, side: int = 8) -> torch.Tensor:
    condition = torch.zeros(count, 2, side, side, side)
    condition[:, 0, 1:-1, 1:-1, 1:-1] = 1
    return condition


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm2m"])
@pytest.mark.parametrize("steps", [1, 10, 250])
def test_a_known_volume_comes_out(sampler, steps):
    """Of data without spread the noise says exactly which: every sampler ends there, however few its steps."""
    made = MaskToVolume(SCHEDULER, 2, steps=steps, sampler=sampler, spacing="t")(told(), Gaussian(0.0), [3])
    assert made.evaluations == steps and made.image.shape == (1, 2, 8, 8, 8)
    inner = made.image[..., 1:-1, 1:-1, 1:-1]
    assert (inner - MEANS).abs().max() < 5e-3  # at the noisiest level ε is divided by √ᾱ = 4e-5, in single precision
    outside = made.image.clone()
    outside[..., 1:-1, 1:-1, 1:-1] = -1
    assert (outside == -1).all()  # where there is no brain


@pytest.mark.parametrize(("sampler", "steps", "near"), [("ddpm", 250, 0.06), ("dpm2m", 40, 0.06)])
def test_mean_and_spread_of_samples(sampler, steps, near):
    condition = told(4, 18)
    made = MaskToVolume(SCHEDULER, 2, steps=steps, sampler=sampler)(condition, Gaussian(0.2), list(range(4)))
    inner = made.image[..., 1:-1, 1:-1, 1:-1]
    assert inner.mean(dim=(0, 2, 3, 4)).tolist() == pytest.approx(MEANS.flatten().tolist(), abs=0.01)
    assert inner.std(dim=(0, 2, 3, 4)).tolist() == pytest.approx([0.2, 0.2], rel=near)


def test_a_seed_s_noise_is_its_own():
    """The same volume alone, in another place of the batch and beside others."""
    sample = MaskToVolume(SCHEDULER, 2, steps=5)
    alone = sample(told(), Gaussian(0.3), [7]).image[0]
    both = sample(told(2), Gaussian(0.3), [9, 7]).image
    assert torch.allclose(both[1], alone, atol=1e-6) and not torch.allclose(both[0], alone, atol=1e-2)


class Doubling:
    """An autoencoder without weights: a latent is the mean of a cell, twice as large."""

    latent_channels, reach = 2, torch.tensor(3.0)

    def on_its_grid(self, masks: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool3d(masks, 2)

    def volumes(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(latents / 2, scale_factor=2)


def test_latents_are_denoised_on_their_own_grid():
    """Of latents whose mean is known and without spread: that mean comes back as voxels, -1 outside the brain."""
    seen = []

    def network(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        bar = SCHEDULER.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
        return (x[:, :2] - bar.sqrt() * 2 * MEANS) / (1 - bar).sqrt()

    made = MaskToVolume(SCHEDULER, 2, steps=10, spacing="t", autoencoder=Doubling())(told(), network, [3])
    assert seen[0].shape == (1, 4, 4, 4, 4) and made.image.shape == (1, 2, 8, 8, 8) and made.evaluations == 10
    assert torch.equal(seen[0][:, 2:3], torch.nn.functional.avg_pool3d(told()[:, :1], 2))
    assert (made.image[..., 1:-1, 1:-1, 1:-1] - MEANS).abs().max() < 5e-3
    assert (made.image[:, :, 0] == -1).all()

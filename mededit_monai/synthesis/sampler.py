# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From noise and a mask to volumes, by the project's samplers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from monai.inferers import Inferer
from monai.networks.schedulers import Scheduler

from mededit_monai.networks.volume_autoencoder import VolumeAutoencoder
from mededit_monai.sampling.denoise import denoise
from mededit_monai.sampling.formulas import clean_estimate
from mededit_monai.sampling.levels import noise_levels, visits
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.sampler import SAMPLERS


@dataclass(frozen=True)
class Synthesis:
    """``image``: NxMxHxWxD in [-1, 1]; ``evaluations`` of the network."""

    image: torch.Tensor
    evaluations: int


class MaskToVolume(Inferer):
    """
    Sample volumes that go with masks.

    Args:
        scheduler: source of ᾱ and of the prediction type.
        modalities: channels M of a volume.
        autoencoder: whose latents the network denoises; None: it denoises voxels.
        steps, spacing: see :func:`~mededit_monai.sampling.levels.noise_levels`.
        sampler: its name.
        progress: show a progress bar.

    Raises:
        InputError: unknown sampler. ValueError: a value out of its range.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        modalities: int,
        steps: int = 10,
        spacing: str = "logsnr",
        sampler: str = "dpm2m",
        progress: bool = False,
        autoencoder: VolumeAutoencoder | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.scheduler, self.modalities, self.progress = scheduler, modalities, progress
        self.levels, self.sampler_type = noise_levels(scheduler, steps, spacing), SAMPLERS[sampler]

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], seeds: Sequence[int]
    ) -> Synthesis:
        """
        Args:
            inputs: what the network is told, Nx(1+K)xHxWxD: the brain first.
            network: ``network(x, timesteps=t)``.
            seeds: of each volume's noise.

        Returns:
            volumes, -1 outside the brain.
        """
        told, channels, reach = inputs, self.modalities, 1.0
        if self.autoencoder is not None:
            told, channels = self.autoencoder.on_its_grid(inputs), self.autoencoder.latent_channels
            reach = float(self.autoencoder.reach)
        like = told[:, :1].expand(-1, channels, *told.shape[2:])
        noise = CaseNoise(list(seeds), like)
        calls = 0

        def estimate(x_t: torch.Tensor, level: int) -> torch.Tensor:
            nonlocal calls
            calls += 1
            t = torch.full((len(x_t),), self.levels.timesteps[level], dtype=torch.long, device=x_t.device)
            output = network(torch.cat([x_t, told], dim=1), timesteps=t).float()
            kind = str(self.scheduler.prediction_type)
            return clean_estimate(output, x_t, self.levels.alpha_bar(level), kind).clamp(-reach, reach)

        sampler = self.sampler_type(self.levels, noise)
        image = denoise(noise(), visits(len(self.levels)), sampler, estimate, progress=self.progress)
        if self.autoencoder is not None:
            image = self.autoencoder.volumes(image).float().clamp(-1, 1)
        return Synthesis(torch.where(inputs[:, :1] > 0, image, -torch.ones_like(image)), calls)

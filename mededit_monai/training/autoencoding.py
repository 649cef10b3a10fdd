# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How the autoencoder of a latent diffusion is trained: its batches, what asks it, and its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from monai.inferers import Inferer
from monai.networks.schedulers import Scheduler
from torch import nn

from mededit_monai.core.errors import InputError
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.losses import DenoisingLoss, Target
from mededit_monai.training.prepare_batch import batch_tensor, case_seeds


class AutoencoderPrepareBatch(PrepareBatch):
    """
    Volumes, which are their own target, and the noise of their latents; none in a validation, where means are decoded.

    Args:
        scheduler, condition: not used; nothing is denoised, and nothing told of the mask.
        even: for validation.
        min_snr_gamma, lesion_weight: not for this family.
        autoencoder_channels, latent_channels: of the network, for the latents' shape.

    Raises:
        InputError: a weighting.
    """

    def __init__(
        self,
        scheduler: Scheduler | None = None,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        autoencoder_channels: Sequence[int] = (),
        latent_channels: int = 1,
    ) -> None:
        for name, value in (("min_snr_gamma", min_snr_gamma), ("lesion_weight", lesion_weight)):
            if value:
                raise InputError(f"--{name}: got {value}, wanted none with --family autoencoder; leave it out.")
        self.even, self.latent_channels = even, latent_channels
        self.factor = 2 ** (len(autoencoder_channels) - 1)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: ``image`` NxMxHxWxD in [0, 1].

        Returns:
            image in [-1, 1]; target; (); ``noise`` of the latents, or None.
        """
        image = to_model_range(batch_tensor(batchdata, "image", device, non_blocking))
        sides = [side // self.factor for side in image.shape[2:]]
        like = image.new_zeros(len(image), self.latent_channels, *sides)
        noise = None if self.even else CaseNoise(case_seeds(batchdata), like)()
        return image, Target(value=image), (), {"noise": noise}


class AskAutoencoder(Inferer):
    """The autoencoder's answer."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        super().__init__()

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: Callable[..., Any], noise: torch.Tensor | None = None
    ) -> Any:
        """Volumes again, mean and standard deviation of their latents; arguments as of the network."""
        return network(inputs, noise)


class AutoencoderLoss(nn.Module):
    """
    Mean difference of the volumes, and the latents' divergence from a standard normal distribution, per value:
    mean(μ² + σ² - ln σ² - 1) / 2 (Kingma & Welling 2014, appendix B).

    Neither a perceptual nor an adversarial loss, which Rombach et al. 2022 add: both need networks more.

    Args:
        kind: of the difference, ``l1``, ``mse`` or ``huber``.
        kl_weight: of the divergence.
    """

    def __init__(self, kind: str = "l1", kl_weight: float = 0.001) -> None:
        super().__init__()
        self.difference, self.kl_weight = DenoisingLoss(kind), kl_weight

    def forward(self, prediction: tuple[torch.Tensor, torch.Tensor, torch.Tensor], target: Target) -> torch.Tensor:
        """
        Args:
            prediction: volumes, mean and standard deviation of their latents.
            target: ``value``, the volumes that went in.
        """
        volumes, mean, deviation = (one.float() for one in prediction)
        variance = deviation.square()
        divergence = 0.5 * (mean.square() + variance - variance.clamp(min=1e-30).log() - 1).mean()
        found: torch.Tensor = self.difference(volumes, target) + self.kl_weight * divergence
        return found

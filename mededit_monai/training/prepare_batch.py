# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of cases to what the denoiser is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.engines.utils import PrepareBatch
from monai.networks.schedulers import Scheduler
from monai.utils import convert_to_tensor

from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.losses import Target, min_snr_weight

if TYPE_CHECKING:
    from mededit_monai.networks.volume_autoencoder import VolumeAutoencoder


def training_target(scheduler: Scheduler, image: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """
    What the network shall predict, by the scheduler's parametrisation.

    ``epsilon``: the noise. ``sample``: the image. ``v_prediction``: √ᾱ ε − √(1−ᾱ) x0 (Salimans & Ho 2022, eq. 15).
    """
    kind = str(scheduler.prediction_type)
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return image
    if kind == "v_prediction":
        return scheduler.get_velocity(image, noise, t)
    raise ValueError(f"prediction_type {kind!r} is none of 'epsilon', 'sample', 'v_prediction'.")


def batch_tensor(
    batchdata: Mapping[str, Any], key: str, device: str | torch.device | None = None, non_blocking: bool = False
) -> torch.Tensor:
    """A batch's item as a plain float32 tensor: MetaTensor bookkeeping costs time at every operation of the network."""
    data = convert_to_tensor(batchdata[key], track_meta=False)
    return data.to(device=device, dtype=torch.float32, non_blocking=non_blocking)


def case_seeds(batchdata: Mapping[str, Any]) -> list[int]:
    """The cases' ``seed`` (see :class:`~mededit_monai.datasets.seeded.SeededCases`); without, torch draws them."""
    if "seed" in batchdata:
        return batchdata["seed"].tolist()
    return torch.randint(2**62, (len(batchdata["image" if "image" in batchdata else "prior"]),)).tolist()


class MaskConditionedPrepareBatch(PrepareBatch):
    """
    Noise, timesteps, target and the concatenated condition of a training or validation batch.

    MONAI's ``DiffusionPrepareBatch`` cannot ask its inferer for ``mode="concat"``, nor repeat its noise.

    Args:
        scheduler: source of ᾱ and of the prediction type.
        condition: what is concatenated to x_t behind the brain mask: ``mask``, ``box`` or ``regions``.
        even: for validation: timesteps spread evenly over [0, T) within the batch instead of drawn by case, so that
            two epochs' losses differ by the weights alone.
        min_snr_gamma: weight the loss by min-SNR-γ; None for the plain loss.
        lesion_weight: added weight of pixels inside the lesion; 0 for none.
        autoencoder: a :class:`~mededit_monai.networks.VolumeAutoencoder`: its latents take the place of the image, and
            shares of their cells that of the masks.

    Attributes:
        timesteps: of the last batch, N integers.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        autoencoder: VolumeAutoencoder | None = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.scheduler, self.condition = scheduler, condition
        self.even, self.min_snr_gamma, self.lesion_weight = even, min_snr_gamma, lesion_weight
        self.timesteps = torch.empty(0, dtype=torch.long)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: ``image`` Nx1xHxW[xD] in [0, 1] and the condition masks of the same shape; see
                :func:`case_seeds`.

        Returns:
            image in [-1, 1]; target; (); the keywords of MONAI's ``DiffusionInferer``.
        """
        tensor = partial(batch_tensor, batchdata, device=device, non_blocking=non_blocking)
        image = to_model_range(tensor("image"))
        masks = tensor("regions" if self.condition == "regions" else "pathology")
        channels = torch.stack([condition_channels(mask, self.condition) for mask in masks])
        condition = torch.cat([tensor("brain"), channels], dim=1)
        if self.autoencoder is not None:
            image, condition = self.autoencoder.latents(image), self.autoencoder.on_its_grid(condition)
        seeds = case_seeds(batchdata)
        noise, t = CaseNoise(seeds, image)(), self._draw_timesteps(seeds, image)
        target = Target(value=training_target(self.scheduler, image, noise, t))
        if self.weighted:
            pathology = tensor("pathology")
            on_grid = pathology if self.autoencoder is None else self.autoencoder.on_its_grid(pathology)
            target["weight"] = self._weight(on_grid, t)
        return image, target, (), {"noise": noise, "timesteps": t, "condition": condition, "mode": "concat"}

    @property
    def weighted(self) -> bool:
        """Whether levels or pixels count differently."""
        return self.min_snr_gamma is not None or bool(self.lesion_weight)

    def _draw_timesteps(self, seeds: list[int], image: torch.Tensor) -> torch.Tensor:
        """The cases' timesteps, N integers."""
        count, steps = len(seeds), self.scheduler.num_train_timesteps
        if self.even:
            t = ((torch.arange(count) + 0.5) * steps / count).long()
        else:
            t = torch.tensor([np.random.default_rng(seed).integers(steps) for seed in seeds])
        self.timesteps = t.to(image.device)
        return self.timesteps

    def _weight(self, pathology: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        weight = 1 + self.lesion_weight * pathology.amax(dim=1, keepdim=True)
        if self.min_snr_gamma is None:
            return weight
        alpha_bar = self.scheduler.alphas_cumprod.to(t.device)[t]
        by_level = min_snr_weight(alpha_bar, self.min_snr_gamma, str(self.scheduler.prediction_type))
        return weight * by_level.view(-1, *[1] * (weight.ndim - 1))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of cases to what the denoiser is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from monai.networks.schedulers import Scheduler
from monai.utils import convert_to_tensor

from mededit_monai.transforms.intensity import to_model_range


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


class MaskConditionedPrepareBatch(PrepareBatch):
    """
    Noise, timesteps, target and the concatenated condition of a training or validation batch.

    MONAI's ``DiffusionPrepareBatch`` cannot ask its inferer for ``mode="concat"``, nor repeat its noise.

    Args:
        scheduler: source of ᾱ and of the prediction type.
        condition_keys: masks concatenated to x_t, in this order.
        seed: None in training. A number fixes noise and timesteps by case for validation: timesteps are spread
            evenly over [0, T), so that two epochs' losses differ by the weights alone.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        condition_keys: tuple[str, ...] = ("brain", "pathology"),
        seed: int | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.condition_keys = tuple(condition_keys)
        self.seed = seed

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict]:
        """
        Args:
            batchdata: ``image`` Nx1xHxW[xD] in [0, 1] and the condition masks of the same shape.

        Returns:
            image in [-1, 1], target, (), and the keywords of MONAI's ``DiffusionInferer``.
        """

        def tensor(key: str) -> torch.Tensor:
            # Plain tensors: MetaTensor bookkeeping costs time at every operation of the network.
            data = convert_to_tensor(batchdata[key], track_meta=False)
            return data.to(device=device, dtype=torch.float32, non_blocking=non_blocking)

        image = to_model_range(tensor("image"))
        count, steps = image.shape[0], self.scheduler.num_train_timesteps
        if self.seed is None:
            noise = torch.randn_like(image)
            t = torch.randint(0, steps, (count,), device=image.device)
        else:
            generator = torch.Generator().manual_seed(self.seed)
            noise = torch.randn(image.shape, generator=generator).to(image.device)
            t = ((torch.arange(count, device=image.device) + 0.5) * steps / count).long()
        condition = torch.cat([tensor(key) for key in self.condition_keys], dim=1)
        target = training_target(self.scheduler, image, noise, t)
        return image, target, (), {"noise": noise, "timesteps": t, "condition": condition, "mode": "concat"}

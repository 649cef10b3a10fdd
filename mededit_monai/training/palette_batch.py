# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the two variants of Palette are trained on: scans with a hole where the lesion is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.inferers import DiffusionInferer
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.hole_editors import with_noisy_hole
from mededit_monai.methods.palette import HOLE
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.losses import Target, region_weight
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, batch_tensor, case_seeds, training_target

#: Number of the random stream that draws holes; timesteps are drawn from the seed itself.
HOLE_STREAM = 1


class PalettePrepareBatch(MaskConditionedPrepareBatch):
    """
    The thesis's Palette: the network sees [x_t, scan with N(0, 1) noise in the hole], with the loss on the whole image.

    Args:
        scheduler, even, min_snr_gamma, lesion_weight: as for the base class.
        condition: ``mask`` or ``box``: the hole of a validation.
        hole: of a training: ``mask``, ``box``, or ``both``, of which each case draws one; None for ``condition``.

    Raises:
        InputError: ``regions``, of which Palette is not told, or another hole.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        hole: str | None = None,
    ) -> None:
        if condition == "regions":
            raise InputError("--condition: got 'regions', but Palette is not told of regions; wanted mask or box.")
        super().__init__(scheduler, condition, even, min_snr_gamma, lesion_weight)
        self.hole = condition if hole is None or even else hole
        HOLE.check(self.hole)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: as for the base class.

        Returns:
            image in [-1, 1]; target; (); the keywords of what noises the image.
        """
        tensor = partial(batch_tensor, batchdata, device=device, non_blocking=non_blocking)
        image, pathology = to_model_range(tensor("image")), tensor("pathology")
        seeds = case_seeds(batchdata)
        draw, t = CaseNoise(seeds, image), self._draw_timesteps(seeds, image)
        noise, filling = draw(), draw()
        kinds = [self._kind(seed) for seed in seeds]
        holes = torch.stack([condition_channels(mask, kind) for mask, kind in zip(pathology, kinds)])
        hole = (holes > 0) & (tensor("brain") > 0)
        target = Target(value=training_target(self.scheduler, image, noise, t))
        weight = self._hole_weight(hole, pathology, t)
        if weight is not None:
            target["weight"] = weight
        visible = with_noisy_hole(image, hole, filling)
        return image, target, (), {"noise": noise, "timesteps": t, "condition": visible, **self._inferer_facts(hole)}

    def _kind(self, seed: int) -> str:
        if self.hole != "both":
            return self.hole
        return ("mask", "box")[np.random.default_rng((seed, HOLE_STREAM)).integers(2)]

    def _hole_weight(self, hole: torch.Tensor, pathology: torch.Tensor, t: torch.Tensor) -> torch.Tensor | None:
        return self._weight(pathology, t) if self.weighted else None

    def _inferer_facts(self, hole: torch.Tensor) -> dict[str, Any]:
        return {"mode": "concat"}


class OriginalPalettePrepareBatch(PalettePrepareBatch):
    """Palette's own variant: x_t is noisy in the hole only, and the loss counts there only."""

    def _hole_weight(self, hole: torch.Tensor, pathology: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return region_weight(hole) * self._weight(pathology, t)

    def _inferer_facts(self, hole: torch.Tensor) -> dict[str, Any]:
        return {"mode": "concat", "hole": hole}


class HoleInferer(DiffusionInferer):
    """MONAI's ``DiffusionInferer`` with noise inside a hole alone, which that cannot do: outside, x_t is the scan."""

    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        diffusion_model: Callable[..., torch.Tensor],
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        condition: torch.Tensor,
        hole: torch.Tensor,
        mode: str = "concat",
    ) -> torch.Tensor:
        """
        Args:
            inputs: scans in [-1, 1], NxCxHxW[xD]; noise: same shape; timesteps: N integers.
            condition: concatenated to x_t.
            hole: bool, shape of ``inputs``.

        Returns:
            the network's prediction.
        """
        noisy = self.scheduler.add_noise(original_samples=inputs, noise=noise, timesteps=timesteps)
        x_t = torch.where(hole, noisy, inputs)
        return diffusion_model(x=torch.cat([x_t, condition], dim=1), timesteps=timesteps, context=None)

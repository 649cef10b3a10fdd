# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of simulated pairs to what the prior-conditioned network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.change import changed_region, scaled_change
from mededit_monai.methods.change_editor import prior_channels
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.intensity import to_model_range
from mededit_monai.space.masks import edit_region
from mededit_monai.training.drawn import DrawnLevels, condition_masks, told_channels
from mededit_monai.training.losses import Target
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, batch_tensor, case_seeds

#: Lesions of fewer pixels weigh more, by the root of how many times smaller they are: halfway between pixels that count
#: alike, where large lesions drown small ones, and lesions that do. Where the thesis's large ones begin.
EVEN_AREA = 371

#: k of the zone around the lesion, dilate(p, k) ∩ b: the thesis's edit region.
ZONE = 25


class PriorPrepareBatch(MaskConditionedPrepareBatch):
    """
    Noise, noise levels, target and condition for diffusion over the change y0 = (image - prior) / s.

    In training every case draws its condition (mask, boxes or, where the data have them, regions) from its seed, so
    that one network serves all, and its level (:class:`~mededit_monai.training.drawn.DrawnLevels`).

    Weights depend on what the network sees, p and the zone around it, and never on where the scan did change: weights
    that knew the outcome would teach the network to expect it.

    Args:
        scheduler: source of ᾱ; must predict ``sample``.
        condition: of a validation; a training draws.
        even: for validation: levels spread evenly over the batch, and ``condition`` for all.
        min_snr_gamma: not for this family.
        lesion_weight: added weight of pixels inside the lesion, on top of the √(371 / its pixels) of a smaller one.
        zone_weight: added weight of dilate(p, 25) ∩ b around it.
        top_share: share of the cases at t = T-1.

    Raises:
        InputError: a prediction type or weighting that is not this family's.

    Attributes:
        timesteps: of the last batch, N integers.
        conditions: of the last batch, N names.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        zone_weight: float = 0.0,
        top_share: float = 0.3,
    ) -> None:
        super().__init__(scheduler, condition, even, min_snr_gamma, lesion_weight)
        if str(scheduler.prediction_type) != "sample":
            raise InputError(
                f"--prediction_type: got '{scheduler.prediction_type}', but --family prior predicts the change itself; "
                "wanted 'sample', leave the option out."
            )
        if min_snr_gamma is not None:
            raise InputError(f"--min_snr_gamma: got {min_snr_gamma}, wanted none with --family prior; leave it out.")
        self.zone_weight, self.top_share = zone_weight, top_share
        self.conditions: list[str] = []
        self.levels = DrawnLevels(scheduler, top_share)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: ``image`` and ``prior`` Nx1xHxW[xD] in [0, 1], ``brain``, ``pathology`` and perhaps
                ``prior_brain`` and ``regions`` of the same shape; see :func:`case_seeds`.

        Returns:
            y0; target with region of change and weight; (); the keywords of MONAI's ``DiffusionInferer``, whose
            condition is [b, p in five channels, prior].

        Raises:
            InputError: cases without prior.
        """
        if "prior" not in batchdata:
            first = batchdata.get("case_id", ["?"])[0]
            raise InputError(
                f"case '{first}' has no 'prior'; --family prior wants pairs, as 'mededit simulate' makes them, and "
                f"--config configs/prior_conditioned.yaml."
            )

        def tensor(key: str) -> torch.Tensor:
            return batch_tensor(batchdata, key, device, non_blocking)

        image, prior = to_model_range(tensor("image")), to_model_range(tensor("prior"))
        brain, pathology = tensor("prior_brain" if "prior_brain" in batchdata else "brain"), tensor("pathology")
        seeds = case_seeds(batchdata)
        masks = condition_masks(pathology, tensor("regions") if "regions" in batchdata else None)
        self.timesteps, self.conditions = self.levels.draw(seeds, list(masks), self.condition if self.even else None)
        self.timesteps = self.timesteps.to(image.device)
        fused = told_channels(masks, self.conditions)
        change = scaled_change(image, prior)
        # A lesion that leaves the intensity as it was is a change too, where it is drawn.
        region = changed_region(image, prior) | (pathology > 0)
        target = Target(value=change, region=region.float(), weight=self._zone_weight(fused, brain))
        condition = prior_channels(prior, brain, fused)
        noise = CaseNoise(seeds, change)()
        facts = {"noise": noise, "timesteps": self.timesteps, "condition": condition, "mode": "concat"}
        return change, target, (), facts

    def _zone_weight(self, shown: torch.Tensor, brain: torch.Tensor) -> torch.Tensor:
        lesion = shown.amax(dim=1, keepdim=True) > 0
        area = lesion.flatten(1).sum(dim=1).clamp(min=1).view(-1, *[1] * (lesion.ndim - 1))
        weight = torch.where(lesion, (EVEN_AREA / area).clamp(min=1).sqrt() + self.lesion_weight, 1.0)
        if self.zone_weight:  # a large kernel takes its time
            weight = weight + self.zone_weight * (edit_region(shown, brain, ZONE) & ~lesion)
        return weight

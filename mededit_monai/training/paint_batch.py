# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of simulated pairs to what the painter is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.methods.paint import paint_region, painter_channels, rim_width, scaled_change
from mededit_monai.sampling.noise import CaseNoise, case_seed
from mededit_monai.space.flow import pull
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.drawn import DrawnLevels, condition_masks, told_channels
from mededit_monai.training.losses import Target, region_weight, velocity_weight
from mededit_monai.training.moved_cases import require_moved_pairs
from mededit_monai.training.prepare_batch import (
    MaskConditionedPrepareBatch,
    batch_tensor,
    case_seeds,
    training_target,
)

#: Sides of the parts that are trained on, in pixels, and the shares of the batches that are such, by the spatial
#: dimensions; others stay whole.
PARTS: dict[int, dict[int, float]] = {2: {32: 0.35, 48: 0.35, 64: 0.27}, 3: {32: 0.5, 48: 0.45}}


class PaintPrepareBatch(MaskConditionedPrepareBatch):
    """
    Noise, noise levels, target and condition for diffusion over y0 = (counterfactual - displaced scan) / s within
    :func:`~mededit_monai.methods.paint.paint_region`, 0 elsewhere.

    The scan is displaced as the true displacement does it; crops of volumes come displaced. The loss counts in the
    region alone, where all that is painted comes from: √(all pixels / the region's) there. A training uses each case
    ``repeats`` times, with another part, condition, level and noise each time: reading and augmenting a slice costs as
    much as a step on two parts. Nearly all of its batches are cut to ``PARTS`` around the lesion, the larger ones for
    what is alike in all of a lesion; a few stay whole, since an edit's box grows with the lesion.

    Args:
        scheduler, condition, even, min_snr_gamma: as for the base class; a training draws the condition.
        lesion_weight: added weight of pixels inside the lesion.
        top_share: share of the cases at t = T-1.
        repeats: how often each case of a training batch is used.

    Attributes:
        timesteps: of the last batch, N integers, with N the batch's cases times the repeats.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        condition: str = "mask",
        even: bool = False,
        min_snr_gamma: float | None = None,
        lesion_weight: float = 0.0,
        top_share: float = 0.1,
        repeats: int = 2,
    ) -> None:
        super().__init__(scheduler, condition, even, min_snr_gamma, lesion_weight)
        self.levels = {dims: DrawnLevels(scheduler, top_share, dims) for dims in (2, 3)}
        self.repeats = repeats

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Target, tuple, dict]:
        """
        Args:
            batchdata: ``image`` and ``prior`` Nx1xHxW[xD] in [0, 1], ``prior_brain``, ``pathology`` and perhaps
                ``regions`` of the same shape, ``displacement`` NxnxHxW[xD] in mm, and ``pixel_mm``. Crops have
                ``displaced`` and ``brain`` in place of prior, its brain and displacement.

        Returns:
            y0; target with weight; (); the keywords of MONAI's ``DiffusionInferer``, whose condition is
            [b, p in five channels, displaced scan].

        Raises:
            InputError: cases without prior or displacement.
        """
        crops = batchdata["image"].ndim == 5 and "prior" not in batchdata
        require_moved_pairs(batchdata, "paint", crops)
        tensor = partial(batch_tensor, batchdata, device=device, non_blocking=non_blocking)
        image, pathology = tensor("image"), tensor("pathology")
        brain = tensor("brain" if crops else "prior_brain")
        rims = [rim_width(float(pixel_mm)) for pixel_mm in batchdata["pixel_mm"]]
        if crops:
            displaced = tensor("displaced") * brain
        else:
            displaced = pull(tensor("prior"), tensor("displacement") / float(batchdata["pixel_mm"][0])) * brain
        seeds = case_seeds(batchdata)
        regions = tensor("regions") if "regions" in batchdata else None
        if not self.even:
            seeds = [case_seed(seed, "paint", k) for seed in seeds for k in range(self.repeats)]
            image, brain, pathology, displaced = (
                one.repeat_interleave(self.repeats, dim=0) for one in (image, brain, pathology, displaced)
            )
            regions = None if regions is None else regions.repeat_interleave(self.repeats, dim=0)
            rims = [rim for rim in rims for _ in range(self.repeats)]
        masks = condition_masks(pathology, regions)
        levels = self.levels[image.ndim - 2]
        timesteps, conditions = levels.draw(seeds, list(masks), self.condition if self.even else None)
        told = told_channels(masks, conditions)
        region = torch.cat([paint_region(told[[k]], brain[[k]], rim) for k, rim in enumerate(rims)])
        image, displaced = to_model_range(image * brain), to_model_range(displaced)
        change = torch.where(region, scaled_change(image, displaced), 0.0)
        weight = region_weight(region)
        planes = self._parts([change, painter_channels(displaced, brain, told), weight, pathology], seeds)
        change, condition, weight, pathology = planes
        self.timesteps = timesteps.to(change.device)
        noise = CaseNoise(seeds, change)()
        target = Target(
            value=training_target(self.scheduler, change, noise, self.timesteps),
            weight=weight * self._weight(pathology, self.timesteps),
        )
        facts = {"noise": noise, "timesteps": self.timesteps, "condition": condition, "mode": "concat"}
        return change, target, (), facts

    def _weight(self, pathology: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        weight = super()._weight(pathology, t)
        if self.min_snr_gamma is not None or str(self.scheduler.prediction_type) != "sample":
            return weight
        by_level = velocity_weight(self.scheduler.alphas_cumprod.to(t.device)[t])
        return weight * by_level.view(-1, *[1] * (weight.ndim - 1))

    def _parts(self, planes: list[torch.Tensor], seeds: list[int]) -> list[torch.Tensor]:
        """The planes, in most training batches cut to a part around each case's lesion."""
        sides, weight, parts = planes[0].shape[2:], planes[2], PARTS[planes[0].ndim - 2]
        drawn = float(np.random.default_rng((seeds[0], 1)).random())
        part = next((part for part, below in zip(parts, np.cumsum(list(parts.values()))) if drawn < below), None)
        if self.even or part is None or all(side <= part for side in sides):
            return planes
        boxes = [part_around(one[0] > 0, np.random.default_rng((seed, 2)), part) for one, seed in zip(weight, seeds)]
        return [torch.stack([one[(slice(None), *box)] for one, box in zip(each, boxes)]) for each in planes]


def part_around(region: torch.Tensor, rng: np.random.Generator, part: int) -> tuple[slice, ...]:
    """
    A box of ``part`` pixels a side (or the whole axis, where that is shorter) that holds a random pixel of the region.

    Args:
        region: bool S; empty: a box anywhere.
    """
    inside = region.nonzero()
    box = []
    point = inside[int(rng.integers(len(inside)))].tolist() if len(inside) else [side // 2 for side in region.shape]
    for place, side in zip(point, region.shape):
        own = min(part, side)
        # the pixel lies in the middle half of the part, unless the grid ends there
        first = place - int(rng.integers(own // 4, own - own // 4))
        box.append(slice(min(max(first, 0), side - own), min(max(first, 0), side - own) + own))
    return tuple(box)

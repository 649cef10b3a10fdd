# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What context-aware MedEdit is trained on: scans of which a random region is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.inferers.context import context_channels
from mededit_monai.inferers.noise import CaseNoise
from mededit_monai.training.losses import region_weight
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, batch_tensor, training_target
from mededit_monai.training.prior_batch import CONDITION_SHARES
from mededit_monai.transforms.conditions import condition_channels, fused_channels
from mededit_monai.transforms.intensity import to_model_range

#: How often each kind of region is drawn: the lesion dilated, round or square pieces, the whole brain.
REGION_SHARES = {"dilated": 0.55, "round": 0.2, "square": 0.15, "brain": 0.1}

#: Largest kernel of a dilated region in pixels; half-sides of a piece as shares of the image's sides.
LARGEST_KERNEL = 40
PIECE = (0.03, 0.25)

#: Number of the random stream that draws conditions and regions; timesteps are drawn from the seed itself.
REGION_STREAM = 2


class ContextPrepareBatch(MaskConditionedPrepareBatch):
    """
    Noise, timesteps, target and condition with a region M of its own for every case; needs no pairs.

    Every case draws M and, in training, its condition (mask, boxes or, where the data have them, regions) from its
    seed, so that one network serves all conditions and any region. x_t is noised everywhere, as the composed sampler
    shows it, so MONAI's ``DiffusionInferer`` serves. The loss counts inside M only: what the network makes of the rest
    is never used.

    Args:
        scheduler, even, min_snr_gamma, lesion_weight: as for the base class.
        condition: of a validation; a training draws.

    Attributes:
        timesteps: of the last batch, N integers.
    """

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict]:
        """
        Args:
            batchdata: ``image`` Nx1xHxW[xD] in [0, 1], ``brain``, ``pathology`` and perhaps ``regions`` of the same
                shape; ``seed``, N numbers, without which torch draws.

        Returns:
            image in [-1, 1]; target, with the loss's weights as last channel; (); the keywords of MONAI's
            ``DiffusionInferer``, whose condition is that of
            :func:`~mededit_monai.inferers.context.context_channels`.
        """
        tensor = partial(batch_tensor, batchdata, device=device, non_blocking=non_blocking)
        image, brain, pathology = to_model_range(tensor("image")), tensor("brain"), tensor("pathology")
        seeds = self._seeds(batchdata, image)
        noise, t = CaseNoise(seeds, image)(), self.timesteps
        regions = tensor("regions") if "regions" in batchdata else None
        fused, hidden = [], []
        for k, seed in enumerate(seeds):
            rng = np.random.default_rng((seed, REGION_STREAM))
            kind = self._drawn_condition(rng, regions is not None)
            mask = regions[k] if kind == "regions" and regions is not None else pathology[k]
            channels = condition_channels(mask, kind)
            fused.append(fused_channels(channels[None], kind)[0])
            shown = channels.amax(dim=0).cpu().numpy() > 0
            hidden.append(torch.from_numpy(random_region(shown, brain[k, 0].cpu().numpy() > 0, rng)))
        edit = torch.stack(hidden)[:, None].to(image.device)
        target = training_target(self.scheduler, image, noise, t)
        target = torch.cat([target, region_weight(edit) * self._weight(pathology, t)], dim=1)
        condition = context_channels(image, brain, torch.stack(fused), edit)
        return image, target, (), {"noise": noise, "timesteps": t, "condition": condition, "mode": "concat"}

    def _drawn_condition(self, rng: np.random.Generator, with_regions: bool) -> str:
        if self.even:
            return self.condition
        known = [name for name in CONDITION_SHARES if with_regions or name != "regions"]
        odds = np.array([CONDITION_SHARES[name] for name in known], dtype=float)
        return str(rng.choice(known, p=odds / odds.sum()))


def random_region(shown: np.ndarray, brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    A region that someone might want edited, holding all that the network is told of the lesion.

    Half the time dilate(shown, k) with k from 0 to 40, as an edit has it; else one to three round or square pieces
    anywhere in the brain, or the whole brain. Without a lesion there is nothing to dilate: pieces again.

    Args:
        shown: the condition's channels united, bool HxW[xD].
        brain: bool, same shape.

    Returns:
        (region ∪ shown) ∩ brain, bool; the whole brain where that would be empty.
    """
    kind = str(rng.choice(list(REGION_SHARES), p=list(REGION_SHARES.values())))
    if kind == "dilated" and not shown.any():
        kind = "round"
    if kind == "brain":
        region = brain
    elif kind == "dilated":
        # The window of transforms.masks.dilate; a hundred times faster than pooling with a large kernel on a CPU.
        region = ndimage.maximum_filter(shown, size=max(1, int(rng.integers(LARGEST_KERNEL + 1))), mode="constant")
    else:
        region = random_pieces(brain, kind == "round", rng)
    region = (region | shown) & brain
    return region if region.any() else brain


def random_pieces(brain: np.ndarray, round_ones: bool, rng: np.random.Generator) -> np.ndarray:
    """One to three ellipsoids or boxes centred at random in the brain, bool HxW[xD]."""
    region, places = np.zeros_like(brain), np.argwhere(brain)
    if not len(places):
        return region
    sides = np.array(brain.shape)
    for _ in range(rng.integers(1, 4)):
        centre = places[rng.integers(len(places))]
        reach = np.maximum(rng.uniform(*PIECE, size=len(sides)) * sides, 1)
        away = [np.abs(grid - c) / r for grid, c, r in zip(np.ogrid[tuple(map(slice, sides))], centre, reach)]
        region |= sum(a**2 for a in away) < 1 if round_ones else np.maximum.reduce(np.broadcast_arrays(*away)) < 1
    return region

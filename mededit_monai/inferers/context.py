# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Context-aware editing: the network sees the scan outside the edit region, clean, at every noise level."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.inferers.noise import CaseNoise
from mededit_monai.inferers.repaint import ResampledInpaintingInferer
from mededit_monai.transforms.conditions import condition_width, fused_channels, fused_width

#: What stands for the hidden part in the visible scan: the model value of the background. M says where that is.
HIDDEN = -1.0


def context_channels(
    image: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor
) -> torch.Tensor:
    """
    What a context-aware network sees behind x_t.

    Args:
        image: scan in [-1, 1], Nx1xHxW[xD].
        brain: b, same shape.
        pathology: of :func:`~mededit_monai.transforms.conditions.fused_channels`, Nx5xHxW[xD].
        edit: M, bool, shape of ``image``.

    Returns:
        [b, mask, boxes, core, edema, rim, scan with M filled by -1, M], Nx8xHxW[xD].
    """
    return torch.cat([brain, pathology, image.masked_fill(edit, HIDDEN), edit.to(image)], dim=1)


class ContextInferer(ResampledInpaintingInferer):
    """
    Edits M = dilate(p, k) ∩ b as MedEdit does, with a network that is also shown the clean scan outside M, and M.

    x_t is composed at every level as in the base class, so the network sees the noise outside M that it was trained
    with; but as the clean scan stands beside it, that part of x_t tells it nothing new. So nothing is lost by composing
    and there is nothing to harmonise: one evaluation a level.

    Args:
        scheduler, settings: as for the base class; ``resample`` and ``jump`` are ignored.
        condition: what the pathology channels of a call are: ``mask``, ``box`` or ``regions``.
        dilation: k in pixels.

    Raises:
        InputError: unknown condition. ValueError: ``mode="paper"``.
    """

    def __init__(self, scheduler: Scheduler, condition: str = "mask", dilation: int = 25, **settings: Any) -> None:
        for fixed in ("resample", "jump", "resample_above"):
            settings.pop(fixed, None)
        if settings.get("mode", "corrected") != "corrected":
            raise ValueError(f"mode must be corrected with context, got {settings['mode']}.")
        condition_width(condition)
        super().__init__(scheduler, dilation=dilation, **settings)
        self.condition = condition

    def _condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        return context_channels(prior, brain, fused_channels(pathology, self.condition), edit)

    def _without_lesion(self, condition: torch.Tensor) -> torch.Tensor:
        healthy = condition.clone()
        healthy[:, 1 : 1 + fused_width()] = 0  # brain mask, visible scan and M are kept
        return healthy

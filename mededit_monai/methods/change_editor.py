# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion over the change that a lesion makes to a scan which the network sees; nothing is composed."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.methods.change import CHANGE_SCALE, change_weight, gated_change, limited_change
from mededit_monai.methods.editor import Edit, Editor, NetworkCalls
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.conditions import condition_width, fused_channels


def prior_channels(prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
    """
    What a prior-conditioned network sees behind y_t.

    Args:
        prior: scan in [-1, 1], Nx1xHxW[xD]; brain: b, same shape.
        pathology: of :func:`~mededit_monai.space.conditions.fused_channels`, Nx5xHxW[xD].

    Returns:
        [b, mask, boxes, core, edema, rim, prior], Nx7xHxW[xD].
    """
    return torch.cat([brain, pathology, prior], dim=1)


class ChangeEditor(Editor):
    """
    Denoise the scaled change y0 = (counterfactual - prior) / s, given the prior scan itself, and add it to the prior.

    At every level the network sees [y_t, b, p, prior] and gives a change c and the logit l of the region of change;
    ŷ0 = σ(l) c (see :func:`~mededit_monai.methods.change.gated_change`), limited to what keeps prior + s ŷ0 within
    ``clip``. After the last level the change is added in the region of change, fading out at its rim
    (:func:`~mededit_monai.methods.change.change_weight`); everywhere else the prior comes out bit for bit.

    One evaluation gives the mean change, several a sample of it.

    Args:
        scheduler, settings: as for :class:`~mededit_monai.methods.editor.Editor`.
        condition: what the pathology channels hold: ``mask``, ``box`` or ``regions``.
        guidance: strength w of the lesion: the final change becomes ŷ0(p=0) + w (ŷ0(p) - ŷ0(p=0)), which takes one more
            evaluation. Only the last estimate is extrapolated: without lesion the network sees no change at any
            noise level, so that extrapolating at every level would compound.

    Raises:
        InputError: unknown condition.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        condition: str = "mask",
        steps: int = 2,
        spacing: str = "logsnr",
        **settings: Any,
    ) -> None:
        condition_width(condition)
        super().__init__(scheduler, steps=steps, spacing=spacing, **settings)
        self.condition = condition

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Where the scan may change at all: the brain. Where it did is in the edit."""
        return brain > 0

    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
    ) -> Edit:
        """The change, denoised and added."""
        noise, told = CaseNoise(seeds, prior), fused_channels(pathology, self.condition)
        seen = prior_channels(prior, brain, told)
        unseen = prior_channels(prior, brain, torch.zeros_like(told))
        last: dict[str, torch.Tensor] = {}

        def asked(y_t: torch.Tensor, channels: torch.Tensor, level: int) -> torch.Tensor:
            output = calls(torch.cat([y_t, channels], dim=1), level)
            last["gate"], last["y_t"] = torch.sigmoid(output[:, 1:2]), y_t
            return limited_change(gated_change(output), prior, self.clip)

        change = self.denoise(noise(), noise, lambda y_t, level: asked(y_t, seen, level))
        gate = last["gate"]
        if self.guidance != 1:
            null = asked(last["y_t"], unseen, 0)
            change = limited_change(null + self.guidance * (change - null), prior, self.clip)
        # Where the lesion is known to be belongs to the region of change; a box only says where to look.
        lesion = torch.zeros_like(told[:, :1]) if self.condition == "box" else told
        weight = change_weight(gate, lesion, region)
        edited = prior + weight * CHANGE_SCALE * change
        edited = edited if self.clip is None else edited.clamp(*self.clip)
        return Edit(torch.where(weight > 0, edited, prior), weight > 0, calls.count)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion over the change that a lesion makes to a scan which the network sees; nothing is composed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.networks.schedulers import Scheduler
from tqdm import tqdm

from mededit_monai.methods.change import CHANGE_SCALE, change_weight, gated_change
from mededit_monai.methods.conditions import condition_width, fused_channels
from mededit_monai.methods.inpainting import ResampledInpaintingInferer
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.steps import SecondOrder, step_coefficients

#: Settings of composed methods, without meaning here; accepted so that one config serves every method.
COMPOSED_ONLY = ("dilation", "resample", "jump", "resample_above", "start", "within_brain", "mode")


def prior_channels(prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
    """
    What a prior-conditioned network sees behind y_t.

    Args:
        prior: scan in [-1, 1], Nx1xHxW[xD]; brain: b, same shape.
        pathology: of :func:`~mededit_monai.methods.conditions.fused_channels`, Nx5xHxW[xD].

    Returns:
        [b, mask, boxes, core, edema, rim, prior], Nx7xHxW[xD].
    """
    return torch.cat([brain, pathology, prior], dim=1)


class PriorConditionedInferer(ResampledInpaintingInferer):
    """
    Denoise the scaled change y0 = (counterfactual - prior) / s, given the prior scan itself, and add it to the prior.

    At every level the network sees [y_t, b, p, prior] and gives a change c and the logit l of the region of change;
    ŷ0 = σ(l) c (see :func:`~mededit_monai.methods.change.gated_change`), limited to what keeps prior + s ŷ0 within
    ``clip``. After the last level the change is added in the region of change, fading out at its rim
    (:func:`~mededit_monai.methods.change.change_weight`); everywhere else the prior comes out bit for bit.

    One evaluation gives the mean change, several a sample of it.

    Args:
        scheduler: for its ᾱ.
        steps, spacing, sampler, eta, exact, progress: as for :class:`ResampledInpaintingInferer`.
        condition: what the pathology channels hold: ``mask``, ``box`` or ``regions``.
        clip: range of the counterfactual; None to switch clipping off.
        guidance: strength w of the lesion: the final change becomes ŷ0(p=0) + w (ŷ0(p) - ŷ0(p=0)), which takes one more
            evaluation. Only the last estimate is extrapolated: without lesion the network sees no change at any
            noise level, so that extrapolating at every level would compound.
        settings: of composed methods, ignored.

    Raises:
        InputError: unknown condition.

    Attributes:
        nfe: network evaluations per case of the last call.
        edit_region: where the last call may have changed the scans, bool, Nx1xHxW[xD].
    """

    def __init__(
        self,
        scheduler: Scheduler,
        steps: int = 2,
        spacing: str = "logsnr",
        condition: str = "mask",
        **settings: Any,
    ) -> None:
        for ignored in COMPOSED_ONLY:
            settings.pop(ignored, None)
        condition_width(condition)
        super().__init__(scheduler, steps=steps, spacing=spacing, **settings)
        self.condition = condition
        self.edit_region: torch.Tensor | None = None

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Where the scan may change at all: the brain. Where it did is known afterwards, see ``edit_region``."""
        return brain > 0

    def _condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        return prior_channels(prior, brain, fused_channels(pathology, self.condition))

    def _without_lesion(self, condition: torch.Tensor) -> torch.Tensor:
        healthy = condition.clone()
        healthy[:, 1:-1] = 0  # brain mask and prior scan are kept
        return healthy

    def _run(
        self,
        prior: torch.Tensor,
        network: Callable[..., torch.Tensor],
        condition: torch.Tensor,
        edit: torch.Tensor,
        noise: CaseNoise,
    ) -> torch.Tensor:
        second_order, y, level = SecondOrder(self.levels), noise(), len(self.levels) - 1
        bar = tqdm(total=len(self.levels), desc="denoising", disable=not self.progress, leave=False)
        while True:
            change, gate = self._change(network, y, condition, level)
            bar.update()
            if level == 0:
                break  # the last estimate is the result of every sampler
            if self.sampler == "dpm2m":
                y = second_order.step(y, change, level, level - 1)
            else:
                a, b, sigma = step_coefficients(self.levels, level, level - 1, self.eta)
                y = a * change + b * y
                if sigma > 0:
                    y = y + sigma * noise()
            level -= 1
        bar.close()
        self.nfe = len(self.levels)
        if self.guidance != 1:
            null, _ = self._change(network, y, self._without_lesion(condition), level)
            change = self._within(null + self.guidance * (change - null), prior)
            self.nfe += 1
        return self._inserted(prior, change, change_weight(gate, self._lesion(condition), edit))

    def _lesion(self, condition: torch.Tensor) -> torch.Tensor:
        """Where the lesion is known to be, which belongs to the region of change; a box only says where to look."""
        shown = condition[:, 1:-1]
        return torch.zeros_like(shown[:, :1]) if self.condition == "box" else shown

    def _inserted(self, prior: torch.Tensor, change: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The prior with the change where ``weight`` > 0, bit for bit itself elsewhere."""
        self.edit_region = weight > 0
        edited = prior + weight * CHANGE_SCALE * change
        return torch.where(self.edit_region, edited if self.clip is None else edited.clamp(*self.clip), prior)

    def _change(
        self, network: Callable[..., torch.Tensor], y_t: torch.Tensor, condition: torch.Tensor, level: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """ŷ0 at a level, and its gate."""
        output = self._forward(network, torch.cat([y_t, condition], dim=1), level)
        return self._within(gated_change(output), condition[:, -1:]), torch.sigmoid(output[:, 1:2])

    def _within(self, change: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """ŷ0 limited to changes that end within ``clip``: MONAI's clip of x̂0, carried over to the change."""
        if self.clip is None:
            return change
        low, high = ((bound - prior) / CHANGE_SCALE for bound in self.clip)
        return change.clamp(low, high)

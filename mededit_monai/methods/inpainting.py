# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Resampled inpainting with a conditional diffusion model: MedEdit, naïve RePaint and SDEdit as settings of it."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.edit_options import MODES
from mededit_monai.methods.editor import Edit, Editor, NetworkCalls
from mededit_monai.methods.response import response_map, response_region
from mededit_monai.sampling.formulas import clean_estimate, forward_noise
from mededit_monai.sampling.levels import visits
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.masks import edit_region


class InpaintingEditor(Editor):
    """
    Denoise inside a region, hold the prior scan outside it, and resample to harmonise the two.

    The corrected algorithm of MedEdit, for M = 1 where to edit, levels t > s and a = ᾱ_t/ᾱ_s:

    1. x̂0 from the network, clipped; x_s ~ sampler's step from x_t and x̂0, inside M;
    2. x_s = √ᾱ_s x0 + √(1-ᾱ_s) ε outside M (at the last level exactly x0);
    3. resampling: back up by x_t = √a x_s + √(1-a) z, ``resample`` - 1 times a level, none at the last.

    The result equals the prior outside M bit for bit (``mode="paper"`` excepted). The network sees [x_t, b, p].

    Args:
        scheduler, settings: as for :class:`~mededit_monai.methods.editor.Editor`; ``clip`` is the range of x̂0,
            ``guidance`` w in ε(p=0) + w (ε(p) - ε(p=0)); 1 needs one evaluation a step, others two. With ``start``
            below 1 the run starts from the noised prior q(x_t | x0) instead of noise.
        resample: U, how often each level is denoised.
        jump: levels to go back up at a resampling.
        resample_above: share of T; no going back up from levels below it, where little is left to harmonise.
        dilation: k of M = dilate(p, k) ∩ b in pixels, used if no region is given.
        within_brain: whether M is cut to the brain mask.
        mode: ``corrected``, or ``paper`` for four steps of the authors' release: known part at level t instead of s,
            undo with the β of the level below, start from q(x_T | x0), last known part √ᾱ_0 x0. The result then differs
            from the prior outside M. The release's channel order and intensity range are not shown to be the same.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        resample: int = 1,
        jump: int = 1,
        resample_above: float = 0.0,
        dilation: int = 0,
        within_brain: bool = True,
        mode: str = "corrected",
        **settings: Any,
    ) -> None:
        super().__init__(scheduler, **settings)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}.")
        if mode == "paper" and jump != 1:
            raise ValueError(f"mode='paper' goes up one level at a time; jump must be 1, got {jump}.")
        if not 0 <= resample_above <= 1:
            raise ValueError(f"resample_above must lie in [0, 1], got {resample_above}.")
        if dilation < 0:
            raise ValueError(f"dilation must not be negative, got {dilation}.")
        below = sum(t < resample_above * int(scheduler.num_train_timesteps) for t in self.levels.timesteps)
        self.moves = visits(len(self.levels), resample, jump, lowest=below)
        if resample > 1 and len(self.levels) > 1 and all(after < before for before, after in self.moves):
            raise InputError(
                f"--resample: got {resample}, but of {len(self.levels)} levels none is gone back to with --jump {jump} "
                f"and --resample_above {resample_above:g}; give a smaller one of these, or --resample 1."
            )
        self.dilation, self.within_brain, self.paper = dilation, within_brain, mode == "paper"

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """M = dilate(p, k) ∩ b."""
        return edit_region(pathology, brain, self.dilation, self.within_brain)

    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
    ) -> Edit:
        """Steps 1 to 3 over all levels."""
        noise, levels = CaseNoise(seeds, prior), self.levels
        condition = self.condition(prior, brain, pathology, region, noise)

        def estimate(x_t: torch.Tensor, level: int) -> torch.Tensor:
            output = calls(torch.cat([x_t, condition], dim=1), level)
            if self.guidance != 1:
                null = calls(torch.cat([x_t, self.without_lesion(condition)], dim=1), level)
                output = null + self.guidance * (output - null)
            x0 = clean_estimate(output, x_t, levels.alpha_bar(level), str(self.scheduler.prediction_type))
            return x0 if self.clip is None else x0.clamp(*self.clip)

        def compose(x: torch.Tensor, origin: int, target: int) -> torch.Tensor:
            return torch.where(region, x, self.known(prior, origin, target, noise))

        def climb(x: torch.Tensor, origin: int, target: int) -> torch.Tensor:
            # The release takes β one level too low, relative to the level below the one it leaves.
            ratio = levels.ratio(origin, origin - 1) if self.paper else levels.ratio(target, origin)
            return forward_noise(x, ratio, noise())

        first = self.first(prior, region, noise)
        return Edit(self.denoise(first, noise, estimate, compose, climb), region, calls.count)

    def condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, region: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        """What the network sees behind x_t, the same at every level."""
        return torch.cat([brain, pathology], dim=1)

    def without_lesion(self, condition: torch.Tensor) -> torch.Tensor:
        """The condition with p = 0, for guidance."""
        healthy = condition.clone()
        healthy[:, 1:] = 0  # the brain mask is kept
        return healthy

    def first(self, prior: torch.Tensor, region: torch.Tensor, noise: CaseNoise) -> torch.Tensor:
        """x at the noisiest level."""
        x = noise()
        if self.start < 1 or self.paper:
            return forward_noise(prior, self.levels.alpha_bar(len(self.levels) - 1), x)
        return x

    def known(self, prior: torch.Tensor, origin: int, target: int, noise: CaseNoise) -> torch.Tensor:
        """The prior at the level just reached (at the level just left in paper mode)."""
        if target < 0:
            # + 0 · noise of the general formula left out: x0 itself, not x0 to within rounding
            return self.levels.alpha_bar(0) ** 0.5 * prior if self.paper else prior
        level = origin if self.paper else target
        return forward_noise(prior, self.levels.alpha_bar(level), noise())


class MedEditEditor(InpaintingEditor):
    """
    MedEdit: M = dilate(p, 25) ∩ b, 1000 levels, U = 4 (3997 evaluations). Boxes: ``dilation=20``.

    Args:
        scheduler, settings: as for the base class.
        auto_region: M is where the network responds to the lesion (:mod:`mededit_monai.methods.response`), within the
            region that a call gives, or the brain; costs 8 evaluations more.
    """

    def __init__(
        self, scheduler: Scheduler, *, dilation: int = 25, resample: int = 4, auto_region: bool = False, **settings: Any
    ) -> None:
        super().__init__(scheduler, dilation=dilation, resample=resample, **settings)
        self.auto_region = auto_region

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """M, or with ``auto_region`` the brain, within which M will be found."""
        return brain > 0 if self.auto_region else super().region(brain, pathology)

    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
    ) -> Edit:
        """As the base class, in the region given or found."""
        if self.auto_region:
            response, asked = response_map(calls.at, self.scheduler, prior, brain, pathology, seeds)
            calls.count += asked
            region = response_region(response, brain, pathology) & region
        return super().edit(prior, calls, brain, pathology, region, seeds)


class NaiveRePaintEditor(InpaintingEditor):
    """Naïve RePaint: edits the lesion alone (M = p ∩ b), U = 3; it cannot show indirect effects."""

    def __init__(self, scheduler: Scheduler, *, resample: int = 3, **settings: Any) -> None:
        super().__init__(scheduler, resample=resample, **settings)


class SDEditEditor(InpaintingEditor):
    """
    SDEdit, conditioned on (b, p): noise the whole prior to ``start``·T (0.2 stroke, 0.6 tumour), denoise everything.

    Nothing is composed, hence nothing dilated or harmonised: the region is the whole image, and all of it may change.
    """

    def __init__(self, scheduler: Scheduler, *, start: float = 0.2, **settings: Any) -> None:
        super().__init__(scheduler, start=start, **settings)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Everything."""
        return torch.ones_like(brain, dtype=torch.bool)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Resampled inpainting with a conditional diffusion model: the one loop behind every composed editing method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer
from monai.networks.schedulers import Scheduler
from tqdm import tqdm

from mededit_monai.sampling.levels import NoiseLevels, evaluations, noise_levels, visits
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.steps import SecondOrder, clean_estimate, forward_noise, step_coefficients
from mededit_monai.space.masks import edit_region

SAMPLERS = ("ddpm", "ddim", "dpm2m")
MODES = ("corrected", "paper")


#: Most slices in one call of the network: all slices of a large lesion at once would need memory for all of them.
NETWORK_BATCH = 32


class ResampledInpaintingInferer(Inferer):
    """
    Denoise inside a region, hold the prior scan outside it, and resample to harmonise the two.

    The corrected algorithm of MedEdit, for M = 1 where to edit, levels t > s and a = ᾱ_t/ᾱ_s:

    1. x̂0 from the network, clipped; x_s ~ sampler's step from x_t and x̂0, inside M;
    2. x_s = √ᾱ_s x0 + √(1-ᾱ_s) ε outside M (at the last level exactly x0);
    3. resampling: back up by x_t = √a x_s + √(1-a) z, ``resample`` - 1 times a level, none at the last.

    The result equals the prior outside M bit for bit (``mode="paper"`` excepted).

    Args:
        scheduler: a MONAI scheduler, used for its ᾱ and ``prediction_type`` (epsilon, sample or v_prediction).
        steps: noise levels over the whole range; see :func:`~mededit_monai.sampling.levels.noise_levels`.
        spacing: ``t`` or ``logsnr``.
        sampler: ``ddpm`` (posterior), ``ddim`` (with ``eta``) or ``dpm2m`` (second order, deterministic).
        eta: noise share of DDIM steps: 0 deterministic, 1 equal to ``ddpm``.
        resample: U, how often each level is denoised.
        jump: levels to go back up at a resampling.
        resample_above: share of T; no going back up from levels below it, where little is left to harmonise.
        start: share of T to begin at; below 1 the run starts from the noised prior q(x_t | x0) instead of noise.
        dilation: k of M = dilate(p, k) ∩ b in pixels, used if no region is given.
        within_brain: whether M is cut to the brain mask.
        clip: range of x̂0, None to switch clipping off.
        guidance: w in ε(p=0) + w (ε(p) - ε(p=0)); 1 needs one evaluation a step, others two.
        mode: ``corrected``, or ``paper`` for four steps of the authors' release: known part at level t instead of s,
            undo with the β of the level below, start from q(x_T | x0), last known part √ᾱ_0 x0. The result then differs
            from the prior outside M. The release's channel order and intensity range are not shown to be the same.
        exact: run the network on one case at a time, so that a case's bytes do not depend on its batch.
        progress: show a progress bar.

    Attributes:
        nfe: network evaluations per case of the last call.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        steps: int = 1000,
        spacing: str = "t",
        sampler: str = "ddpm",
        eta: float = 0.0,
        resample: int = 1,
        jump: int = 1,
        resample_above: float = 0.0,
        start: float = 1.0,
        dilation: int = 0,
        within_brain: bool = True,
        clip: Sequence[float] | None = (-1.0, 1.0),
        guidance: float = 1.0,
        mode: str = "corrected",
        exact: bool = False,
        progress: bool = False,
    ) -> None:
        super().__init__()
        for name, value, known in (("sampler", sampler, SAMPLERS), ("mode", mode, MODES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {eta}.")
        if mode == "paper" and jump != 1:
            raise ValueError(f"mode='paper' goes up one level at a time; jump must be 1, got {jump}.")
        if not 0 <= resample_above <= 1:
            raise ValueError(f"resample_above must lie in [0, 1], got {resample_above}.")
        if dilation < 0:
            raise ValueError(f"dilation must not be negative, got {dilation}.")
        self.scheduler = scheduler
        self.levels: NoiseLevels = noise_levels(scheduler, steps, spacing, start)
        below = sum(t < resample_above * int(scheduler.num_train_timesteps) for t in self.levels.timesteps)
        self.moves = visits(len(self.levels), resample, jump, lowest=below)
        self.sampler, self.eta = sampler, 1.0 if sampler == "ddpm" else float(eta)
        self.start, self.dilation, self.within_brain = start, dilation, within_brain
        self.clip, self.guidance = (None if clip is None else (float(clip[0]), float(clip[1]))), float(guidance)
        self.mode, self.exact, self.progress = mode, exact, progress
        self.nfe = 0

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """
        Edit a batch.

        Args:
            inputs: prior scans x0 in the model's range [-1, 1], Nx1xHxW[xD].
            network: ``network(x, timesteps=t)`` on ``[x_t, brain, pathology]``, N integers as t.
            brain: brain masks b, Nx1xHxW[xD].
            pathology: pathology masks p, NxKxHxW[xD].
            region: M, Nx1xHxW[xD], 1 = edit; None for dilate(p, k) ∩ b.
            seeds: a seed per case (see :func:`~mededit_monai.sampling.noise.case_seed`); None draws them from torch.

        Returns:
            counterfactuals in the range of ``inputs``, same shape.
        """
        if seeds is None:
            seeds = torch.randint(2**62, (inputs.shape[0],)).tolist()
        brain, pathology = brain.to(inputs), pathology.to(inputs)
        edit = self.region(brain, pathology) if region is None else region.to(inputs.device) > 0
        noise = CaseNoise(seeds, inputs)
        condition = self._condition(inputs, brain, pathology, edit, noise)
        return self._run(inputs, network, condition, edit, noise)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The method's own edit region M, bool, Nx1xHxW[xD]."""
        return edit_region(pathology, brain, self.dilation, self.within_brain)

    def _condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        """What the network sees behind x_t, the same at every level."""
        return torch.cat([brain, pathology], dim=1)

    def _without_lesion(self, condition: torch.Tensor) -> torch.Tensor:
        """The condition with p = 0, for guidance."""
        healthy = condition.clone()
        healthy[:, 1:] = 0  # the brain mask is kept
        return healthy

    def _first(self, prior: torch.Tensor, edit: torch.Tensor, noise: CaseNoise) -> torch.Tensor:
        """x at the noisiest level."""
        x = noise()
        if self.start < 1 or self.mode == "paper":
            return forward_noise(prior, self.levels.alpha_bar(len(self.levels) - 1), x)
        return x

    def _run(
        self,
        prior: torch.Tensor,
        network: Callable[..., torch.Tensor],
        condition: torch.Tensor,
        edit: torch.Tensor,
        noise: CaseNoise,
    ) -> torch.Tensor:
        levels, paper = self.levels, self.mode == "paper"
        second_order = SecondOrder(levels)
        x = self._first(prior, edit, noise)
        bar = tqdm(total=evaluations(self.moves), desc="denoising", disable=not self.progress, leave=False)
        for origin, target in self.moves:
            if target > origin:  # resampling: undo
                second_order.forget()
                # The release takes β one level too low, relative to the level below the one it leaves.
                ratio = levels.ratio(origin, origin - 1) if paper else levels.ratio(target, origin)
                x = forward_noise(x, ratio, noise())
                continue
            x0 = self._estimate(network, x, condition, origin)
            if self.sampler == "dpm2m":
                unknown = second_order.step(x, x0, origin, target)
            else:
                a, b, sigma = step_coefficients(levels, origin, target, self.eta)
                unknown = a * x0 + b * x
                if sigma > 0:
                    unknown = unknown + sigma * noise()
            x = torch.where(edit, unknown, self._known(prior, origin, target, noise))
            bar.update()
        bar.close()
        self.nfe = evaluations(self.moves) * (1 if self.guidance == 1 else 2)
        return x

    def _known(self, prior: torch.Tensor, origin: int, target: int, noise: CaseNoise) -> torch.Tensor:
        """The prior at the level just reached (at the level just left in paper mode)."""
        if target < 0:
            # + 0 · noise of the general formula left out: x0 itself, not x0 to within rounding
            return prior if self.mode == "corrected" else self.levels.alpha_bar(0) ** 0.5 * prior
        level = origin if self.mode == "paper" else target
        return forward_noise(prior, self.levels.alpha_bar(level), noise())

    def _estimate(
        self, network: Callable[..., torch.Tensor], x_t: torch.Tensor, condition: torch.Tensor, level: int
    ) -> torch.Tensor:
        """x̂0 at a level, guided and clipped."""
        output = self._forward(network, torch.cat([x_t, condition], dim=1), level)
        if self.guidance != 1:
            null = self._forward(network, torch.cat([x_t, self._without_lesion(condition)], dim=1), level)
            output = null + self.guidance * (output - null)
        x0 = clean_estimate(output, x_t, self.levels.alpha_bar(level), str(self.scheduler.prediction_type))
        return x0 if self.clip is None else x0.clamp(*self.clip)

    def _forward(self, network: Callable[..., torch.Tensor], x: torch.Tensor, level: int) -> torch.Tensor:
        timesteps = torch.full((x.shape[0],), self.levels.timesteps[level], dtype=torch.long, device=x.device)
        size = 1 if self.exact else NETWORK_BATCH
        parts = zip(x.split(size), timesteps.split(size))
        return torch.cat([network(part, timesteps=t) for part, t in parts])

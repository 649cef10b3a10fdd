# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Inpainting as other libraries offer it, on our weights: what our own sampler is held against."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, Scheduler
from torch import Tensor

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.methods.editor import Edit, NetworkCalls
from mededit_monai.methods.inpainting import InpaintingEditor
from mededit_monai.sampling.formulas import clean_estimate
from mededit_monai.sampling.noise import CaseNoise

#: The network's output for x at a timestep.
Predict = Callable[[Tensor, int], Tensor]

MONAI_SCHEDULERS = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}


class LibraryEditor(InpaintingEditor):
    """
    What both baselines share: M = dilate(p, k) ∩ b, what the network sees, and a loop over timesteps of their own.

    Args:
        scheduler: for its ᾱ and ``prediction_type``; dilation: k in pixels.
    """

    def __init__(self, scheduler: Scheduler, dilation: int) -> None:
        super().__init__(scheduler, steps=int(scheduler.num_train_timesteps), dilation=dilation)  # a level a timestep

    def edit(
        self, prior: Tensor, calls: NetworkCalls, brain: Tensor, pathology: Tensor, region: Tensor, seeds: list[int]
    ) -> Edit:
        """The library's loop inside the region, the prior outside."""
        told = torch.cat([brain, pathology], dim=1)
        edited = self.loop(prior, lambda x, t: calls(torch.cat([x, told], dim=1), t), region, seeds)
        return Edit(torch.where(region, edited, prior).clamp(-1, 1), region, calls.count)

    @abstractmethod
    def loop(self, prior: Tensor, predict: Predict, region: Tensor, seeds: list[int]) -> Tensor:
        """From noise to x at t = 0."""


class PlainLoopEditor(LibraryEditor):
    """
    The loop that MONAI's documentation leads to: ``set_timesteps``, ``step``, and the noised prior put back around M.

    With fewer steps than the training had, ``DDPMScheduler.step`` takes the wrong level to step to (MONAI 1.6.1): that
    is part of what is measured.

    Args:
        steps: noise levels; kind: ``ddpm`` or ``ddim``: MONAI's scheduler.
    """

    def __init__(self, scheduler: Scheduler, steps: int = 50, dilation: int = 25, kind: str = "ddpm") -> None:
        super().__init__(scheduler, dilation)
        require_choice("kind", kind, tuple(MONAI_SCHEDULERS))
        self.steps, self.kind = steps, kind

    def loop(self, prior: Tensor, predict: Predict, region: Tensor, seeds: list[int]) -> Tensor:
        """As the base says."""
        noise = CaseNoise(seeds, prior)
        x = noise()
        loop = MONAI_SCHEDULERS[self.kind](
            num_train_timesteps=self.scheduler.num_train_timesteps,
            schedule="linear_beta",
            beta_start=0.0001,
            beta_end=0.02,
            prediction_type=self.scheduler.prediction_type,
        )
        loop.set_timesteps(self.steps)
        generators = [torch.Generator(x.device).manual_seed(s) if self.kind == "ddpm" else None for s in seeds]
        levels = [int(t) for t in loop.timesteps]
        for t, below in zip(levels, [*levels[1:], -1]):
            # Case by case: MONAI's step takes one generator, and a case's noise shall not depend on its batch.
            cases = zip(predict(x, t).split(1), x.split(1), generators)
            x = torch.cat([loop.step(out, t, x_t, **({"generator": g} if g else {}))[0] for out, x_t, g in cases])
            if below >= 0:
                known = loop.add_noise(prior, noise(), torch.full((len(x),), below, device=x.device))
                x = torch.where(region, x, known)
        return x


class DiffusersRePaintEditor(LibraryEditor):
    """
    RePaint's published schedule on diffusers' ``RePaintScheduler`` (as its pipeline runs it, η = 0).

    Needs ``diffusers``, which is a development dependency only.

    Args:
        steps, jump, resample: 250 levels, jumps of 10, 10 times: 2410 evaluations.

    Raises:
        InputError: diffusers is not installed.
    """

    def __init__(
        self, scheduler: Scheduler, steps: int = 250, dilation: int = 25, jump: int = 10, resample: int = 10
    ) -> None:
        super().__init__(scheduler, dilation)
        try:
            from diffusers import RePaintScheduler
        except ImportError as error:
            raise InputError("this row needs diffusers; install it with pip install 'mededit_monai[dev]'.") from error
        total = int(scheduler.num_train_timesteps)
        self.schedule: Any = RePaintScheduler(total, beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
        self.schedule.set_timesteps(steps, jump, resample)

    def loop(self, prior: Tensor, predict: Predict, region: Tensor, seeds: list[int]) -> Tensor:
        """As the base says."""
        x, keep = CaseNoise(seeds, prior)(), (~region).to(prior)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        last = int(self.schedule.timesteps[0]) + 1
        for t in map(int, self.schedule.timesteps):
            if t < last:
                # ε from any prediction type; diffusers' scheduler takes no other.
                bar = float(self.scheduler.alphas_cumprod[t])
                x0 = clean_estimate(predict(x, t), x, bar, str(self.scheduler.prediction_type))
                epsilon = (x - sqrt(bar) * x0) / sqrt(1 - bar)
                x = self.schedule.step(epsilon, t, x, prior, keep, generators).prev_sample
            else:
                x = self.schedule.undo_step(x, last, generators)
            last = t
        return x

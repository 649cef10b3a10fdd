# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Inpainting as other libraries offer it, on our weights: what our own sampler is held against."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from monai.inferers import Inferer
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, Scheduler

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.steps import clean_estimate
from mededit_monai.space.masks import edit_region

MONAI_SCHEDULERS = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}


class _LibraryLoop(Inferer):
    """
    What both baselines share: M = dilate(p, k) ∩ b, and one network evaluation.

    Args:
        scheduler: for its ᾱ and ``prediction_type``; steps: noise levels; dilation: k in pixels.

    Attributes:
        nfe: network evaluations per case of the last call.
    """

    def __init__(self, scheduler: Scheduler, steps: int, dilation: int = 25) -> None:
        super().__init__()
        self.scheduler, self.steps, self.dilation = scheduler, steps, dilation
        self.nfe = 0

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """M, bool, Nx1xHxW."""
        return edit_region(pathology, brain, self.dilation, True)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor | None = None,
        seeds: Sequence[int] = (),
    ) -> torch.Tensor:
        """Edit a batch; arguments as for ``ResampledInpaintingInferer``."""
        self.nfe = 0
        edit, told = self.region(brain, pathology), torch.cat([brain, pathology], dim=1).to(inputs)
        edited = self._denoise(inputs, network, told, edit, CaseNoise(seeds, inputs), seeds)
        return torch.where(edit, edited, inputs).clamp(-1, 1)

    @abstractmethod
    def _denoise(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        told: torch.Tensor,
        edit: torch.Tensor,
        noise: CaseNoise,
        seeds: Sequence[int],
    ) -> torch.Tensor:
        """The library's own loop from noise to x at t = 0; told: [b, p]; edit: M."""

    def _output(self, network: Callable[..., torch.Tensor], x: torch.Tensor, told: torch.Tensor, t: int):
        self.nfe += 1
        timesteps = torch.full((len(x),), t, dtype=torch.long, device=x.device)
        return network(torch.cat([x, told], dim=1), timesteps=timesteps)


class PlainLoopInferer(_LibraryLoop):
    """
    The loop that MONAI's documentation leads to: ``set_timesteps``, ``step``, and the noised prior put back around M.

    With fewer steps than the training had, ``DDPMScheduler.step`` takes the wrong level to step to (MONAI 1.6.1): that
    is part of what is measured.

    Args:
        kind: ``ddpm`` or ``ddim``: MONAI's scheduler.
    """

    def __init__(self, scheduler: Scheduler, steps: int = 50, dilation: int = 25, kind: str = "ddpm") -> None:
        super().__init__(scheduler, steps, dilation)
        require_choice("kind", kind, tuple(MONAI_SCHEDULERS))
        self.kind = kind

    def _denoise(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        told: torch.Tensor,
        edit: torch.Tensor,
        noise: CaseNoise,
        seeds: Sequence[int],
    ) -> torch.Tensor:
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
            output = self._output(network, x, told, t)
            # Case by case: MONAI's step takes one generator, and a case's noise shall not depend on its batch.
            cases = zip(output.split(1), x.split(1), generators)
            x = torch.cat([loop.step(out, t, x_t, **({"generator": g} if g else {}))[0] for out, x_t, g in cases])
            if below >= 0:
                known = loop.add_noise(inputs, noise(), torch.full((len(x),), below, device=x.device))
                x = torch.where(edit, x, known)
        return x


class DiffusersRePaintInferer(_LibraryLoop):
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
        super().__init__(scheduler, steps, dilation)
        try:
            from diffusers import RePaintScheduler
        except ImportError as error:
            raise InputError("this row needs diffusers; install it with pip install 'mededit_monai[dev]'.") from error
        total = int(scheduler.num_train_timesteps)
        self.loop: Any = RePaintScheduler(total, beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
        self.loop.set_timesteps(steps, jump, resample)

    def _denoise(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        told: torch.Tensor,
        edit: torch.Tensor,
        noise: CaseNoise,
        seeds: Sequence[int],
    ) -> torch.Tensor:
        generators, keep, x = [torch.Generator().manual_seed(seed) for seed in seeds], (~edit).to(inputs), noise()
        last = int(self.loop.timesteps[0]) + 1
        for t in map(int, self.loop.timesteps):
            if t < last:
                epsilon = self._epsilon(network, x, told, t)
                x = self.loop.step(epsilon, t, x, inputs, keep, generators).prev_sample
            else:
                x = self.loop.undo_step(x, last, generators)
            last = t
        return x

    def _epsilon(self, network: Callable[..., torch.Tensor], x: torch.Tensor, told: torch.Tensor, t: int):
        """ε from any prediction type; diffusers' scheduler takes no other."""
        bar = float(self.scheduler.alphas_cumprod[t])
        x0 = clean_estimate(self._output(network, x, told, t), x, bar, str(self.scheduler.prediction_type))
        return (x - sqrt(bar) * x0) / sqrt(1 - bar)

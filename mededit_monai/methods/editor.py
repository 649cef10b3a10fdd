# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What every editor is: noise levels, a sampler, a network called in portions, and a result that says it all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import torch
from monai.inferers import Inferer, sliding_window_inference
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.sampling.denoise import Move, denoise
from mededit_monai.sampling.formulas import Noise
from mededit_monai.sampling.levels import NoiseLevels, noise_levels, visits
from mededit_monai.sampling.sampler import SAMPLERS, Estimate, Sampler

#: Most slices in one call of the network: all slices of a large lesion at once would need memory for all of them.
NETWORK_BATCH = 32

#: Largest side of a volume that a network sees at once; larger ones are seen in equal windows of at most this side, a
#: multiple of the third number, which overlap by a quarter and are blended with Gaussian weights.
WINDOW, OVERLAP, WINDOW_MULTIPLE = 96, 0.25, 16

Network = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Edit:
    """
    What an editor gives back.

    Args:
        image: counterfactuals in [-1, 1], NxCxHxW[xD].
        region: where they may differ from the prior, bool, Nx1xHxW[xD].
        evaluations: of the network, a case (NFE).
        extras: what else a method has to say, by name; tensors batch first.
    """

    image: torch.Tensor
    region: torch.Tensor
    evaluations: int
    extras: Mapping[str, Any] = field(default_factory=dict)


class NetworkCalls:
    """
    A network asked at noise levels, in portions of a batch.

    Args:
        network: ``network(x, timesteps=t)``, N integers as t.
        levels: whose timesteps are meant.
        portion: most cases a call.
        windows: whether a volume with a side above ``WINDOW`` is given in windows; what they see of it, its noise
            included, is the same.

    Attributes:
        count: evaluations a case so far.
    """

    def __init__(
        self, network: Network, levels: NoiseLevels, portion: int = NETWORK_BATCH, windows: bool = False
    ) -> None:
        self.network, self.levels, self.portion, self.windows, self.count = network, levels, portion, windows, 0

    def anew(self, windows: bool = False) -> NetworkCalls:
        """The same network, none of whose calls are counted yet."""
        return NetworkCalls(self.network, self.levels, self.portion, windows)

    def __call__(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """The network's output for NxCxHxW[xD] at a level."""
        self.count += 1
        timesteps = torch.full((x.shape[0],), self.levels.timesteps[level], dtype=torch.long, device=x.device)
        return self.at(x, timesteps)

    def at(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The network's output for NxCxHxW[xD] at N timesteps of any kind; not counted."""
        parts = zip(x.split(self.portion), timesteps.split(self.portion))
        return torch.cat([self._asked(part, t) for part, t in parts])

    def _asked(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        if not self.windows or max(x.shape[2:]) <= WINDOW:
            return self.network(x, timesteps=timesteps)
        sides = [window_side(side) for side in x.shape[2:]]

        def ask(windows: torch.Tensor) -> torch.Tensor:
            return self.network(windows, timesteps=timesteps[:1].expand(len(windows)))

        found: torch.Tensor = sliding_window_inference(x, sides, 1, ask, overlap=OVERLAP, mode="gaussian")
        return found


def window_side(length: int) -> int:
    """The side of the windows along an axis: as few of them as ``WINDOW`` allows, and those as small as they can be."""
    if length <= WINDOW:
        return length
    more = ceil((length / WINDOW - 1) / (1 - OVERLAP))
    side = length / (1 + more * (1 - OVERLAP))
    return min(WINDOW, ceil(side / WINDOW_MULTIPLE) * WINDOW_MULTIPLE)


class Editor(Inferer):
    """
    The base of editors that denoise.

    Args:
        scheduler: a MONAI scheduler, used for its ᾱ and ``prediction_type`` (epsilon, sample or v_prediction).
        steps: noise levels over the whole range; see :func:`~mededit_monai.sampling.levels.noise_levels`.
        spacing: ``t`` or ``logsnr``.
        sampler: name of a sampler, see :mod:`mededit_monai.sampling.sampler`.
        eta: noise share of ``ddim``: 0 deterministic, 1 equal to ``ddpm``.
        start: share of T to begin at.
        clip: range of the counterfactual, None to switch clipping off.
        guidance: strength w of the lesion; 1 is none.
        exact: run the network on one case at a time, so that a case's bytes do not depend on its batch.
        progress: show a progress bar.

    Raises:
        InputError: unknown sampler, or an eta that it does not take. ValueError: a value out of its range.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        steps: int = 1000,
        spacing: str = "t",
        sampler: str = "ddpm",
        eta: float = 0.0,
        start: float = 1.0,
        clip: Sequence[float] | None = (-1.0, 1.0),
        guidance: float = 1.0,
        exact: bool = False,
        progress: bool = False,
    ) -> None:
        super().__init__()
        self.scheduler, self.start = scheduler, start
        self.levels: NoiseLevels = noise_levels(scheduler, steps, spacing, start)
        self.moves = visits(len(self.levels))
        self.sampler_type: type[Sampler] = SAMPLERS[sampler]
        if eta != 0 and "eta" not in self.sampler_type.options:
            raise InputError(f"--eta: got {eta!r}, which --sampler {sampler} cannot do; leave it out or choose ddim.")
        self.sampler_options = {k: v for k, v in {"eta": eta}.items() if k in self.sampler_type.options}
        self.new_sampler(lambda: torch.empty(0))  # refuses options out of their range before any case is read
        self.clip = None if clip is None else (float(clip[0]), float(clip[1]))
        self.guidance, self.exact, self.progress = float(guidance), exact, progress

    def new_sampler(self, noise: Callable[[], torch.Tensor]) -> Sampler:
        """A sampler for one batch; it may remember the path."""
        return self.sampler_type(self.levels, noise, **self.sampler_options)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Network,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor | None = None,
        seeds: Sequence[int] | None = None,
        **facts: Any,
    ) -> Edit:
        """
        Edit a batch.

        Args:
            inputs: prior scans x0 in the model's range [-1, 1], Nx1xHxW[xD].
            network: ``network(x, timesteps=t)``, N integers as t.
            brain: brain masks b, Nx1xHxW[xD].
            pathology: condition channels p, NxKxHxW[xD].
            region: limit of what may change, Nx1xHxW[xD], 1 = edit; None for the method's own, :meth:`region`.
            seeds: a seed per case (see :func:`~mededit_monai.sampling.noise.case_seed`); None draws them from torch.
            facts: what else the method's :meth:`edit` takes.

        Returns:
            counterfactuals, shape and range of ``inputs``, with their region and the evaluations they took.
        """
        if seeds is None:
            seeds = torch.randint(2**62, (inputs.shape[0],)).tolist()
        brain, pathology = brain.to(inputs), pathology.to(inputs)
        limit = self.region(brain, pathology) if region is None else region.to(inputs.device) > 0
        calls = NetworkCalls(network, self.levels, 1 if self.exact else NETWORK_BATCH)
        return self.edit(inputs, calls, brain, pathology, limit, list(seeds), **facts)

    @abstractmethod
    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """What the method may change, bool, Nx1xHxW[xD]."""

    def edge(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The area along whose edge a seam would run, bool, Nx1xHxW[xD]."""
        return self.region(brain, pathology)

    @abstractmethod
    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
    ) -> Edit:
        """What :meth:`__call__` does once its arguments are complete."""

    def denoise(
        self,
        x: torch.Tensor,
        noise: Noise,
        estimate: Estimate,
        compose: Move | None = None,
        climb: Move | None = None,
    ) -> torch.Tensor:
        """Follow the editor's moves with a new sampler; see :func:`~mededit_monai.sampling.denoise.denoise`."""
        return denoise(x, self.moves, self.new_sampler(noise), estimate, compose, climb, self.progress)

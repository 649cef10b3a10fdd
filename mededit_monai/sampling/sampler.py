# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A sampler: one move from a noise level to a cleaner one. Each is a file of its own, registered by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from mededit_monai.core.registry import Registry
from mededit_monai.sampling.formulas import Noise
from mededit_monai.sampling.levels import NoiseLevels

if TYPE_CHECKING:
    import torch

#: x̂0 at a noise level: (x_t, index of the level) → NxCxHxW[xD]. Every call asks the network.
Estimate = Callable[["torch.Tensor", int], "torch.Tensor"]

SAMPLERS: Registry[type[Sampler]] = Registry(
    "sampler", ("mededit_monai.sampling.ddpm", "mededit_monai.sampling.ddim", "mededit_monai.sampling.dpm2m")
)


class Sampler(ABC):
    """
    Moves down from one noise level to the next. It may call the estimate as often as it needs.

    Args:
        levels: that are visited.
        noise: draws the next batch of the cases' own noise.

    Attributes:
        options: names of the options of an edit that the sampler takes beside these.
        evaluations: estimates a step, for plans; the last step of a run may need fewer.
    """

    options: ClassVar[tuple[str, ...]] = ()
    evaluations: ClassVar[int] = 1

    def __init__(self, levels: NoiseLevels, noise: Noise) -> None:
        self.levels, self.noise = levels, noise

    @abstractmethod
    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        """
        One move down.

        Args:
            estimate: the network's x̂0 of an x at a level.
            x_t: NxCxHxW[xD] at level t.
            t, s: indices of the noisier and the cleaner level; s = -1 is the clean image.

        Returns:
            x_s, shape of x_t; for s = -1 the last estimate itself.
        """

    def forget(self) -> None:  # noqa: B027 - most remember nothing
        """Called after a move up: what was remembered of the path no longer lies on it."""

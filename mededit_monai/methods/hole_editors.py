# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette (Saharia et al. 2022): a network of its own that fills a hole in the scan, in its two published variants."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.methods.inpainting import ResampledInpaintingInferer
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.masks import edit_region


def with_noisy_hole(image: torch.Tensor, hole: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The visible scan as Palette sees it: ``image`` with N(0, 1) noise where ``hole`` is, NxCxHxW[xD]."""
    return torch.where(hole, noise, image)


class PaletteInferer(ResampledInpaintingInferer):
    """
    The thesis's variant: network input [x_t, scan with noise in the hole], hole = p ∩ b, from pure noise, all levels.

    Nothing is composed: the network draws the whole image anew, so everything may change slightly. It is told of the
    lesion by the hole alone (mask or boxes), hence of no regions, and there is no p = 0 to guide from. The noise in the
    hole is one draw a case, kept over all levels.

    Args:
        scheduler, settings: as for the base class; ``dilation``, ``resample`` and ``jump`` are ignored.

    Raises:
        ValueError: ``start`` below 1, ``guidance`` other than 1, or ``mode="paper"``.
    """

    def __init__(self, scheduler: Scheduler, **settings: Any) -> None:
        for fixed in ("dilation", "resample", "jump", "resample_above"):
            settings.pop(fixed, None)  # nothing is composed from noisy parts, so there is nothing to harmonise
        for name, only in (("start", 1.0), ("guidance", 1.0), ("mode", "corrected")):
            if settings.get(name, only) != only:
                raise ValueError(f"{name} must be {only} with Palette, got {settings[name]}.")
        super().__init__(scheduler, **settings)

    def hole(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """p ∩ b, bool, Nx1xHxW[xD]: what the network does not see."""
        return edit_region(pathology, brain, 0, self.within_brain)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Everything."""
        return torch.ones_like(brain, dtype=torch.bool)

    def _condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        return with_noisy_hole(prior, self.hole(brain, pathology), noise())


class OriginalPaletteInferer(PaletteInferer):
    """
    Palette's own variant: x_t is noisy in the hole only and the clean scan outside; the hole is the edit region, and
    the result equals the prior outside it bit for bit.
    """

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The hole."""
        return self.hole(brain, pathology)

    def _condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, edit: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        return with_noisy_hole(prior, edit, noise())

    def _first(self, prior: torch.Tensor, edit: torch.Tensor, noise: CaseNoise) -> torch.Tensor:
        return torch.where(edit, noise(), prior)

    def _known(self, prior: torch.Tensor, origin: int, target: int, noise: CaseNoise) -> torch.Tensor:
        """The clean scan, at every level."""
        return prior

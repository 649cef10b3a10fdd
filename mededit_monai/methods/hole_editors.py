# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette (Saharia et al. 2022): a network of its own that fills a hole in the scan, in its two published variants."""

from __future__ import annotations

import torch

from mededit_monai.methods.inpainting import InpaintingEditor
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.masks import edit_region


def with_noisy_hole(image: torch.Tensor, hole: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The visible scan as Palette sees it: ``image`` with N(0, 1) noise where ``hole`` is, NxCxHxW[xD]."""
    return torch.where(hole, noise, image)


class PaletteEditor(InpaintingEditor):
    """
    The thesis's variant: network input [x_t, scan with noise in the hole], hole = p ∩ b, from pure noise, all levels.

    Nothing is composed: the network draws the whole image anew, so everything may change slightly. It is told of the
    lesion by the hole alone (mask or boxes), hence of no regions, and there is no p = 0 to guide from. The noise in the
    hole is one draw a case, kept over all levels.
    """

    def hole(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """p ∩ b, bool, Nx1xHxW[xD]: what the network does not see."""
        return edit_region(pathology, brain, 0, self.within_brain)

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """Everything."""
        return torch.ones_like(brain, dtype=torch.bool)

    def edge(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The hole: a seam runs along it."""
        return self.hole(brain, pathology)

    def condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, region: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        """The visible scan."""
        return with_noisy_hole(prior, self.hole(brain, pathology), noise())


class OriginalPaletteEditor(PaletteEditor):
    """
    Palette's own variant: x_t is noisy in the hole only and the clean scan outside; the hole is the edit region, and
    the result equals the prior outside it bit for bit.
    """

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The hole."""
        return self.hole(brain, pathology)

    def condition(
        self, prior: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor, region: torch.Tensor, noise: CaseNoise
    ) -> torch.Tensor:
        """The visible scan."""
        return with_noisy_hole(prior, region, noise())

    def first(self, prior: torch.Tensor, region: torch.Tensor, noise: CaseNoise) -> torch.Tensor:
        """Noise in the hole alone."""
        return torch.where(region, noise(), prior)

    def known(self, prior: torch.Tensor, origin: int, target: int, noise: CaseNoise) -> torch.Tensor:
        """The clean scan, at every level."""
        return prior

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painter's network: how much of each pixel a lesion replaces, and by what."""

from __future__ import annotations

from typing import Any

import torch

from mededit_monai.networks.mask_conditioned_unet import MaskConditionedUNet


class PaintNetwork(MaskConditionedUNet):
    """
    ŷ0 = a (m - displaced scan) / s: a share a in (0, 1) of each pixel is replaced by a level m.

    A cavity is even whatever tissue was there, and edema lets the tissue shine through: both are easy to say in a and
    m, while a bare change would have to repeat the tissue pixel by pixel to take it away. For the same reason the clean
    change is estimated: an estimate of noise has to repeat the noise, and what it misses stays as mottle (cf. Li & He
    2025, Back to basics: let denoising generative models denoise).

    Args:
        scale: s of y0.
        settings: of :class:`~mededit_monai.networks.mask_conditioned_unet.MaskConditionedUNet`; the last channel of its
            input is the displaced scan in [-1, 1].

    Example:
        >>> network = PaintNetwork(in_channels=8, channels=(16, 32), attention_levels=(False, False))
        >>> network(torch.zeros(1, 8, 32, 32), timesteps=torch.tensor([10])).shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(self, scale: float = 0.5, out_channels: int = 1, **settings: Any) -> None:
        super().__init__(out_channels=2 * out_channels, **settings)
        self.scale, self.out_channels = scale, out_channels

    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            x: [y_t, b, p in five channels, displaced scan], NxCxHxW[xD]; timesteps, context: as for the base class.

        Returns:
            ŷ0, Nx1xHxW[xD], float32.
        """
        share, level = super().forward(x, timesteps, context).float().chunk(2, dim=1)
        return torch.sigmoid(share) * (level - x[:, -1:].float()) / self.scale

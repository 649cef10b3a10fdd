# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painter's network: how much of each pixel a lesion replaces, and by what."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mededit_monai.core.errors import require_whole
from mededit_monai.networks.convolutions import neighbour_mean, quick_volumes
from mededit_monai.networks.mask_conditioned_unet import MOST_CHANNELS, MaskConditionedUNet, pointwise

#: Feature maps that the U-Net hands to the layers at each voxel.
FINE_FEATURES = 2


class PaintNetwork(MaskConditionedUNet):
    """
    ŷ0 = a (m - displaced scan) / s: a share a in (0, 1) of each pixel is replaced by a level m.

    A cavity is even whatever tissue was there, and edema lets the tissue shine through: both are easy to say in a and
    m, while a bare change would have to repeat the tissue pixel by pixel to take it away. For the same reason the clean
    change is estimated: an estimate of noise has to repeat the noise, and what it misses stays as mottle (cf. Li & He
    2025, Back to basics: let denoising generative models denoise).

    A U-Net on cells of several voxels draws edges of their width. ``fine_channels`` layers at each voxel see what it
    says there, the inputs, and the inputs' mean over the neighbours, and sharpen a and m.

    Args:
        scale: s of y0.
        fine_channels: width of the layers at each voxel; 0: none.
        settings: of :class:`~mededit_monai.networks.mask_conditioned_unet.MaskConditionedUNet`; the last channel of its
            input is the displaced scan in [-1, 1].

    Example:
        >>> network = PaintNetwork(in_channels=8, channels=(16, 32), attention_levels=(False, False))
        >>> network(torch.zeros(1, 8, 32, 32), timesteps=torch.tensor([10])).shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(self, scale: float = 0.5, out_channels: int = 1, fine_channels: int = 0, **settings: Any) -> None:
        require_whole("fine_channels", fine_channels, 0, most=MOST_CHANNELS)
        features = FINE_FEATURES if fine_channels else 0
        super().__init__(out_channels=2 * out_channels + features, **settings)
        self.scale, self.out_channels = scale, out_channels
        self.fine = None
        if fine_channels:
            seen = 2 * out_channels + features + 2 * self.in_channels
            last = pointwise(self.spatial_dims, fine_channels, 2 * out_channels)
            for parameter in last.parameters():  # at first a and m are what the U-Net says
                nn.init.zeros_(parameter)
            self.fine = nn.Sequential(pointwise(self.spatial_dims, seen, fine_channels), nn.SiLU(), last)

    @quick_volumes
    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            x: [y_t, b, p in five channels, displaced scan], NxCxHxW[xD]; timesteps, context: as for the base class.

        Returns:
            ŷ0, Nx1xHxW[xD], float32.
        """
        said = super().forward(x, timesteps, context)
        if self.fine is not None:
            seen = torch.cat([said, x, neighbour_mean(x)], dim=1)
            said = said[:, : 2 * self.out_channels].float() + self.fine(seen).float()
        share, level = said.float().chunk(2, dim=1)
        return torch.sigmoid(share) * (level - x[:, -1:].float()) / self.scale

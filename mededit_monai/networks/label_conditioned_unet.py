# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Denoisers that are told of a label map by normalisation (SPADE) or by attention, in place of concatenation.

Their input is that of the network with concatenation, whose place they take: ``[x_t, labels]``, as many channels of
x_t as there are outputs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.networks.nets import SPADEDiffusionModelUNet
from torch import nn

from mededit_monai.core.errors import require_choice
from mededit_monai.networks.mask_conditioned_unet import MaskConditionedUNet
from mededit_monai.space.conditions import CONDITIONINGS

#: Waves of the code of a position: so many lengths, each half of the one before, from twice the grid's side on.
WAVES = 3


class SpadeUNet(MaskConditionedUNet):
    """
    MONAI's ``SPADEDiffusionModelUNet``: labels scale and shift what each block of the way up has normalised (Park et
    al. 2019, Semantic image synthesis with spatially-adaptive normalization). The way down sees x_t alone.

    Labels are folded by the same cells as x_t, so that a position of the U-Net knows the labels of all the voxels that
    it draws; labels at full resolution would be thinned out to one voxel in ``patch``³ by MONAI's nearest neighbour.
    Lower levels see every second position, every fourth, …. MONAI normalises scale and shift over the volume too, so
    that a level of a single voxel is not possible.

    Example:
        >>> network = SpadeUNet(3, 3, 1, (8, 16), (False, False), 1, 8, 4, 2)
        >>> network(torch.zeros(1, 3, 16, 16, 16)).shape
        torch.Size([1, 1, 16, 16, 16])
    """

    def built(self, inputs: int, **sizes: Any) -> nn.Module:
        """See the base class."""
        noisy = sizes["out_channels"]
        width = sizes["channels"][0]
        return SPADEDiffusionModelUNet(
            in_channels=noisy, label_nc=inputs - noisy, spade_intermediate_channels=width, **sizes
        )

    def denoised(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        noisy, labels = (self.folded(part, self.patch) for part in _apart(self, x))
        answer: torch.Tensor = self.unet(noisy, timesteps, seg=labels)
        return answer


class CrossAttentionUNet(MaskConditionedUNet):
    """
    MONAI's ``DiffusionModelUNet`` whose attention looks at tokens of the labels (Rombach et al. 2022, section 3.3): in
    the middle, and where ``attention_levels`` say.

    A token is a cell of the label map, as large as a position of the U-Net's lowest level: its voxels and a code of its
    place (sines and cosines of the coordinates), each embedded linearly, added and normalised. The U-Net is given that
    code of its own positions beside x_t, or nothing would tell a position which tokens lie where it does.

    Example:
        >>> network = CrossAttentionUNet(3, 3, 1, (8, 16), (False, False), 1, 8, 4, 2)
        >>> network(torch.zeros(1, 3, 16, 16, 16)).shape
        torch.Size([1, 1, 16, 16, 16])
    """

    def built(self, inputs: int, **sizes: Any) -> nn.Module:
        """See the base class."""
        code, width = 2 * WAVES * self.spatial_dims, sizes["channels"][-1]
        labels = self.in_channels - self.out_channels
        self.voxels = nn.Linear(labels * self.multiple**self.spatial_dims, width)
        self.place, self.norm = nn.Linear(code, width), nn.LayerNorm(width)
        noisy = sizes["out_channels"]
        return super().built(noisy + code, with_conditioning=True, cross_attention_dim=width, **sizes)

    def denoised(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        noisy, labels = _apart(self, x)
        noisy, cells = self.folded(noisy, self.patch), self.folded(labels, self.multiple)
        voxels, places = (one.flatten(2).transpose(1, 2) for one in (cells, position_code(cells)))
        tokens = self.norm(self.voxels(voxels) + self.place(places))
        answer: torch.Tensor = self.unet(torch.cat([noisy, position_code(noisy)], dim=1), timesteps, context=tokens)
        return answer


def _apart(network: MaskConditionedUNet, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The noisy volume and the labels of an input."""
    return x[:, : network.out_channels], x[:, network.out_channels :]


def position_code(like: torch.Tensor) -> torch.Tensor:
    """
    Sine and cosine of every position's coordinates, the same for a place whatever the resolution of the grid.

    Args:
        like: NxCxHxW[xD].

    Returns:
        Nx6nxHxW[xD] for n spatial dimensions, in [-1, 1].
    """
    shape = like.shape[2:]
    sides = [(torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size - 0.5 for size in shape]
    places = torch.stack(torch.meshgrid(*sides, indexing="ij"))
    phases = torch.cat([math.pi * 2**wave * places for wave in range(WAVES)])
    code = torch.cat([phases.sin(), phases.cos()])
    return code.expand(len(like), *code.shape)


#: Builds the denoiser of each conditioning.
BUILT: dict[str, type[MaskConditionedUNet]] = {
    "concat": MaskConditionedUNet,
    "spade": SpadeUNet,
    "cross_attention": CrossAttentionUNet,
}


def denoiser(conditioning: str, *sizes: Any, **more: Any) -> MaskConditionedUNet:
    """
    The denoiser of a conditioning, without weights.

    Args:
        conditioning: how it is told of the labels: ``concat``, as input channels; ``spade``; ``cross_attention``.
        sizes, more: of :class:`~mededit_monai.networks.MaskConditionedUNet`; ``in_channels`` are of the noisy volume
            and the labels together, ``out_channels`` of the noisy volume.

    Raises:
        InputError: unknown conditioning, or sizes that do not go together.
    """
    require_choice("conditioning", conditioning, CONDITIONINGS)
    return BUILT[conditioning](*sizes, **more)

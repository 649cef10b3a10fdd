# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers that are told of a label map by normalisation (SPADE) or by attention, in place of concatenation."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.networks.nets import DiffusionModelUNet, SPADEDiffusionModelUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import nn

from mededit_monai.core.errors import require_choice
from mededit_monai.networks.mask_conditioned_unet import MaskConditionedUNet, check_sizes
from mededit_monai.space.conditions import CONDITIONINGS

#: Waves of the code of a position: so many lengths, each half of the one before, from twice the grid's side on.
WAVES = 3


class LabelConditionedUNet(nn.Module):
    """
    What both have in common with :class:`~mededit_monai.networks.MaskConditionedUNet`, whose place they take: the
    arguments, and one input ``[x_t, labels]``. The first ``out_channels`` are the noisy volume, the others the labels.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        in_channels: of the noisy volume and the labels together; out_channels: of the noisy volume alone.
        channels, attention_levels, num_res_blocks, num_head_channels, norm_num_groups: of the U-Net.
        patch: side of the space-to-depth cell that both are folded by; 1: none.

    Attributes:
        multiple: what every side of an input must be a multiple of.

    Raises:
        InputError: sizes that do not go together.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        attention_levels: Sequence[bool],
        num_res_blocks: int,
        num_head_channels: int,
        norm_num_groups: int,
        patch: int,
    ) -> None:
        super().__init__()
        check_sizes(channels, attention_levels, num_res_blocks, num_head_channels, norm_num_groups, patch)
        self.spatial_dims, self.patch, self.cells = spatial_dims, patch, patch**spatial_dims
        self.in_channels, self.out_channels, self.label_channels = in_channels, out_channels, in_channels - out_channels
        self.multiple = patch * 2 ** (len(channels) - 1)
        sizes = {
            "spatial_dims": spatial_dims,
            "out_channels": out_channels * self.cells,
            "channels": tuple(channels),
            "attention_levels": tuple(attention_levels),
            "num_res_blocks": num_res_blocks,
            "num_head_channels": num_head_channels,
            "norm_num_groups": norm_num_groups,
            "use_flash_attention": True,
        }
        self.unet = self.built(sizes)

    @abstractmethod
    def built(self, sizes: dict[str, Any]) -> nn.Module:
        """The U-Net; sizes: what all have in common."""

    @abstractmethod
    def denoise(self, noisy: torch.Tensor, labels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The U-Net's answer to a folded noisy volume and labels on the grid of the input."""

    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            x: ``[x_t, labels]``, NxCxHxW[xD]; every side a multiple of ``self.multiple``.
            timesteps: N integers in [0, T); t = 0 if absent.
            context: must be None, as for MaskConditionedUNet.

        Returns:
            the prediction in the scheduler's parametrisation, as many channels as x_t.
        """
        if context is not None:
            raise ValueError(f"{type(self).__name__} takes labels as input channels; context must be None.")
        if timesteps is None:
            timesteps = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
        noisy, labels = x[:, : self.out_channels], x[:, self.out_channels :]
        output = self.denoise(self._folded(noisy, self.patch), labels, timesteps)
        return output if self.patch == 1 else pixelshuffle(output, self.spatial_dims, self.patch)

    def _folded(self, x: torch.Tensor, patch: int) -> torch.Tensor:
        return x if patch == 1 else pixelunshuffle(x, spatial_dims=self.spatial_dims, scale_factor=patch)


class SpadeUNet(LabelConditionedUNet):
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

    def built(self, sizes: dict[str, Any]) -> nn.Module:
        """See the base class."""
        return SPADEDiffusionModelUNet(
            in_channels=self.out_channels * self.cells,
            label_nc=self.label_channels * self.cells,
            spade_intermediate_channels=sizes["channels"][0],
            **sizes,
        )

    def denoise(self, noisy: torch.Tensor, labels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        answer: torch.Tensor = self.unet(noisy, timesteps, seg=self._folded(labels, self.patch))
        return answer


class CrossAttentionUNet(LabelConditionedUNet):
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

    def built(self, sizes: dict[str, Any]) -> nn.Module:
        """See the base class."""
        code, width = 2 * WAVES * self.spatial_dims, sizes["channels"][-1]
        self.voxels = nn.Linear(self.label_channels * self.multiple**self.spatial_dims, width)
        self.place, self.norm = nn.Linear(code, width), nn.LayerNorm(width)
        return DiffusionModelUNet(
            in_channels=self.out_channels * self.cells + code,
            with_conditioning=True,
            cross_attention_dim=width,
            **sizes,
        )

    def denoise(self, noisy: torch.Tensor, labels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        cells = self._folded(labels, self.multiple)
        voxels, places = (one.flatten(2).transpose(1, 2) for one in (cells, position_code(cells)))
        tokens = self.norm(self.voxels(voxels) + self.place(places))
        answer: torch.Tensor = self.unet(torch.cat([noisy, position_code(noisy)], dim=1), timesteps, context=tokens)
        return answer


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
BUILT: dict[str, Callable[..., nn.Module]] = {
    "concat": MaskConditionedUNet,
    "spade": SpadeUNet,
    "cross_attention": CrossAttentionUNet,
}


def denoiser(
    conditioning: str,
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    channels: Sequence[int],
    attention_levels: Sequence[bool],
    num_res_blocks: int,
    num_head_channels: int,
    norm_num_groups: int,
    patch: int,
) -> nn.Module:
    """
    The denoiser of a conditioning, without weights.

    Args:
        conditioning: how it is told of the labels: ``concat``, as input channels; ``spade``; ``cross_attention``.
        spatial_dims and the others: as for :class:`LabelConditionedUNet`.

    Raises:
        InputError: unknown conditioning, or sizes that do not go together.
    """
    require_choice("conditioning", conditioning, CONDITIONINGS)
    more = (attention_levels, num_res_blocks, num_head_channels, norm_num_groups, patch)
    return BUILT[conditioning](spatial_dims, in_channels, out_channels, channels, *more)

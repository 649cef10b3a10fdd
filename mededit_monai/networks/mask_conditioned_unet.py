# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The mask-conditioned denoiser: MONAI's ``DiffusionModelUNet`` behind a space-to-depth input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import DiffusionModelUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import nn

from mededit_monai.core.errors import InputError, require_whole
from mededit_monai.networks.convolutions import quick_volumes
from mededit_monai.sampling.formulas import linear_guess

#: Levels that a U-Net may have, and channels of one: far beyond what fits into any memory.
MOST_LEVELS, MOST_CHANNELS = 10, 2**16

#: Standard deviation of what is denoised, scans in [-1, 1] or latents; and of a U-Net's error, as a part of it.
DEVIATION, ERROR = {"scan": 0.5, "latent": 1.0}, 0.1


class MaskConditionedUNet(nn.Module):
    """
    U-Net over ``[x_t, brain mask, pathology mask]``, concatenated on the channel axis.

    ``patch`` > 1 folds each ``patch``-sided cell of pixels into channels before the U-Net and unfolds its output. On a
    CPU this is what makes an edit affordable: with ``patch=2`` a 2-D network works on a quarter of the positions. In
    volumes a cell has many pixels; ``cell_channels`` are what is made of them, so that the first convolution is not the
    largest of all.

    With ``alpha_bars`` the network predicts the clean image (``sample``), and the U-Net need not learn how far x_t can
    be trusted: it is shown the linear guess of the clean image, g x_t, which vanishes as noise grows, and its answer F
    is put right by what x_t says more exactly than it can draw: k x_t + (1 - √ᾱ k) F (Kalman's update).

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        in_channels: channels of the concatenated input, 3 for the thesis's condition.
        out_channels: channels of the prediction.
        channels: feature channels at each level of the U-Net.
        attention_levels: whether a level has self-attention.
        num_res_blocks: residual blocks a level.
        num_head_channels: channels of an attention head.
        norm_num_groups: groups of each group normalisation; divides every entry of ``channels``.
        patch: side of the space-to-depth cell, 1 to switch it off.
        cell_channels: features of a cell that the U-Net is shown; 0: its pixels themselves.
        alpha_bars: ᾱ of each timestep; x_t are the first ``out_channels`` of the input. None: the U-Net is shown x_t,
            and its answer is the network's.
        denoised_kind: ``scan`` or ``latent``, by whose standard deviation g and k go.

    Raises:
        InputError: sizes that do not go together.

    Example:
        >>> network = MaskConditionedUNet(channels=(16, 32), attention_levels=(False, True))
        >>> network(torch.zeros(1, 3, 32, 32), timesteps=torch.tensor([10])).shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_channels: int = 1,
        channels: Sequence[int] = (32, 64, 96, 128),
        attention_levels: Sequence[bool] = (False, False, False, True),
        num_res_blocks: int = 1,
        num_head_channels: int = 32,
        norm_num_groups: int = 16,
        patch: int = 2,
        cell_channels: int = 0,
        alpha_bars: Sequence[float] | None = None,
        denoised_kind: str = "scan",
    ) -> None:
        super().__init__()
        check_sizes(channels, attention_levels, num_res_blocks, num_head_channels, norm_num_groups, patch)
        require_whole("cell_channels", cell_channels, 0, most=MOST_CHANNELS)
        self.spatial_dims, self.patch = spatial_dims, patch
        self.in_channels = in_channels
        self.out_channels = out_channels
        # Each level below the first halves the grid, so an input side must be a multiple of this.
        self.multiple = patch * 2 ** (len(channels) - 1)
        self.cells = patch**spatial_dims
        self.cell = pointwise(spatial_dims, in_channels * self.cells, cell_channels) if cell_channels else None
        self.unet = self.built(
            cell_channels or in_channels * self.cells,
            spatial_dims=spatial_dims,
            out_channels=out_channels * self.cells,
            channels=tuple(channels),
            attention_levels=tuple(attention_levels),
            num_res_blocks=num_res_blocks,
            num_head_channels=num_head_channels,
            norm_num_groups=norm_num_groups,
            use_flash_attention=True,
        )
        # The schedule's, not the weights'.
        self.register_buffer("factors", factors_of(alpha_bars, DEVIATION[denoised_kind]), persistent=False)

    def built(self, inputs: int, **sizes: Any) -> nn.Module:
        """The U-Net; inputs: channels of a folded input of this network."""
        return DiffusionModelUNet(in_channels=inputs, **sizes)

    def denoised(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the U-Net answers to an input, folded."""
        folded = self.folded(x, self.patch)
        return self.unet(folded if self.cell is None else self.cell(folded), timesteps=timesteps)

    def folded(self, x: torch.Tensor, side: int) -> torch.Tensor:
        """Each cell of ``side`` positions a side in channels."""
        return x if side == 1 else pixelunshuffle(x, spatial_dims=x.ndim - 2, scale_factor=side)

    @quick_volumes
    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            x: ``[x_t, brain, pathology]``, Nx3xHxW[xD]; every side a multiple of ``self.multiple``.
            timesteps: diffusion timesteps, N integers in [0, T); t = 0 if absent, so that MONAI's
                ``verify_net_in_out`` can call the network with one tensor.
            context: unused (accepted because MONAI's ``DiffusionInferer`` passes it); must be None.

        Returns:
            the prediction in the scheduler's parametrisation, Nx1xHxW[xD].
        """
        if context is not None:
            raise ValueError(f"{type(self).__name__} takes its condition as input channels; context must be None.")
        if timesteps is None:
            timesteps = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
        if self.factors is None:
            return self.unfolded(self.denoised(x, timesteps))
        g, k, rest = (one[timesteps].to(x).view(-1, *[1] * (self.spatial_dims + 1)) for one in self.factors)
        x_t, told = x[:, : self.out_channels], x[:, self.out_channels :]
        return k * x_t + rest * self.unfolded(self.denoised(torch.cat([g * x_t, told], dim=1), timesteps))

    def unfolded(self, output: torch.Tensor) -> torch.Tensor:
        """The U-Net's answer, each cell's channels in their positions."""
        return output if self.patch == 1 else pixelshuffle(output, output.ndim - 2, self.patch)


def factors_of(alpha_bars: Sequence[float] | None, deviation: float) -> torch.Tensor | None:
    """
    g, k and 1 - √ᾱ k of every timestep, 3xT.

    Args:
        deviation: σ of clean images; the U-Net's error has a tenth of it.
    """
    if alpha_bars is None:
        return None
    shown = [linear_guess(one, deviation) for one in alpha_bars]
    kept = [linear_guess(one, ERROR * deviation) for one in alpha_bars]
    rest = [1 - one**0.5 * k for one, k in zip(alpha_bars, kept)]
    return torch.tensor([shown, kept, rest], dtype=torch.float32)


def pointwise(spatial_dims: int, inputs: int, outputs: int) -> nn.Module:
    """A linear layer at each position."""
    return Convolution(spatial_dims, inputs, outputs, kernel_size=1, conv_only=True)


def check_sizes(channels: Any, attention: Any, blocks: Any, head: Any, groups: Any, patch: Any) -> None:
    """Refuse sizes of which MONAI's U-Net would say something about itself, or that no memory holds."""
    if not isinstance(patch, int) or isinstance(patch, bool) or not 1 <= patch <= 64:
        raise InputError(f"--patch: wanted a whole number of at least 1, got {patch!r}; 2 is the default, 64 the most.")
    for name, value, most in (
        ("num_res_blocks", blocks, 64),
        ("num_head_channels", head, MOST_CHANNELS),
        ("norm_num_groups", groups, MOST_CHANNELS),
    ):
        require_whole(name, value, 1, most=most)
    check_channels("channels", channels, groups, f"--norm_num_groups, {groups}; change one of them")
    known = _is_list(attention) and all(level in (True, False) for level in attention)
    if not known or len(attention) != len(channels):
        raise InputError(
            f"--attention_levels: got {attention!r}, wanted {len(channels)} times true or false, one for each of "
            f"--channels."
        )
    attending = [width for width, attends in zip(channels, attention) if attends]
    for width in [*attending, channels[-1]]:  # the middle of the U-Net always attends
        if width % head:
            raise InputError(
                f"--channels: got {width} where there is attention, wanted a multiple of --num_head_channels, {head}; "
                f"change one of them."
            )


def check_channels(option: str, channels: Any, divisor: int, wanted: str) -> None:
    """Refuse channels of levels that are no list of multiples of ``divisor``; wanted: it and the way out, in words."""
    if not _is_list(channels) or not 1 <= len(channels) <= MOST_LEVELS:
        raise InputError(
            f"--{option}: got {channels!r}, wanted a list of 1 to {MOST_LEVELS} whole numbers, such as [32, 64]."
        )
    for width in channels:
        require_whole(option, width, 1, most=MOST_CHANNELS)
        if width % divisor:
            raise InputError(f"--{option}: got {width}, wanted a multiple of {wanted}.")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)

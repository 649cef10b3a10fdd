# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a network's levels fit on the grid of its volumes."""

from __future__ import annotations

from collections.abc import Sequence

from mededit_monai.core.errors import InputError, require_whole


def require_levels_fit(
    side: int, depth: int, channels: Sequence[int], cell: int, conditioning: str, option: str = "channels"
) -> None:
    """
    Refuse a grid that a network's levels cannot halve, or halve too far.

    Args:
        side, depth: voxels of a volume along x and y, and along z.
        channels: of the network, one for each level; option: that says them.
        cell: voxels along a side of a position of the first level.
        conditioning: see :func:`~mededit_monai.networks.label_conditioned_unet.denoiser`.

    Raises:
        InputError: names the side, the multiple wanted and the way out.
    """
    multiple = cell * 2 ** (len(channels) - 1)
    for name, value in (("side", side), ("depth", depth)):
        require_whole(name, value, 1, most=4096)
        if value % multiple:
            raise InputError(
                f"--{name}: got {value}, wanted a multiple of {multiple}, which {len(channels)} levels on cells of "
                f"{cell} need; change it, or give fewer --{option}."
            )
    if conditioning == "spade" and side == depth == multiple:
        raise InputError(
            f"--channels: got {len(channels)} levels, of which the last has a single voxel of a volume of {side} a "
            f"side, wanted more than that with --conditioning spade; give fewer."
        )

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The one loop behind every editor: down the noise levels, and up again where it resamples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tqdm import tqdm

from mededit_monai.sampling.sampler import Estimate, Sampler

#: Takes (x, level left, level reached) and gives x at the level reached.
Move = Callable[[torch.Tensor, int, int], torch.Tensor]


def denoise(
    x: torch.Tensor,
    moves: Sequence[tuple[int, int]],
    sampler: Sampler,
    estimate: Estimate,
    compose: Move | None = None,
    climb: Move | None = None,
    progress: bool = False,
) -> torch.Tensor:
    """
    Follow a list of moves between noise levels.

    Args:
        x: NxCxHxW[xD] at the level that the first move leaves.
        moves: (from, to) of level indices, see :func:`~mededit_monai.sampling.levels.visits`; -1 is the clean image.
        compose: what becomes of x after a move down; None: it stays as the sampler gives it.
        climb: moves up; needed where ``moves`` has any.
        progress: show a progress bar.

    Returns:
        x at the level of the last move.
    """
    for origin, target in tqdm(moves, desc="denoising", disable=not progress, leave=False):
        if target > origin:
            assert climb is not None
            sampler.forget()
            x = climb(x, origin, target)
        else:
            x = sampler.step(estimate, x, origin, target)
            x = x if compose is None else compose(x, origin, target)
    return x

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A case's own noise: the same bits alone, in any batch, order, worker or shard, on any device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def case_seed(seed: int, case_id: str, sample: int = 0) -> int:
    """A 63-bit seed that depends on the run's seed, the case's name and the sample's number only."""
    digest = hashlib.sha256(f"{seed}/{case_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class CaseNoise:
    """
    Draws standard normal batches in which element i comes from a generator of its own.

    Elements with the same seed get the same noise: that is how neighbouring slices of a case stay consistent.
    Drawn on the CPU, so that a GPU run starts from the same bits.

    Args:
        seeds: one per batch element.
        like: tensor whose device, dtype and shape (beyond the batch axis) the noise takes.
    """

    def __init__(self, seeds: Sequence[int], like: torch.Tensor) -> None:
        if len(seeds) != like.shape[0]:
            raise ValueError(f"{len(seeds)} seeds for a batch of {like.shape[0]}; give one a batch element.")
        self._generators = {seed: torch.Generator().manual_seed(seed) for seed in dict.fromkeys(seeds)}
        position = {seed: i for i, seed in enumerate(self._generators)}
        self._index = torch.tensor([position[seed] for seed in seeds], device=like.device)
        self._like = like

    def __call__(self) -> torch.Tensor:
        """The next batch of noise, NxCxHxW[xD]."""
        shape, like = self._like.shape[1:], self._like
        drawn = torch.stack([torch.randn(shape, generator=g) for g in self._generators.values()])
        return drawn.to(device=like.device, dtype=like.dtype)[self._index]

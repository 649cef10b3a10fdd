# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How prepared cases are kept between epochs: in memory, on disk, or not at all."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from monai.data import CacheDataset, Dataset

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.seeded import SeededCases
from mededit_monai.training.options import CACHE_MODES
from mededit_monai.training.prepared import PreparedCases

#: Share of the memory free at the start that ``auto`` lets the cache take.
MEMORY_SHARE = 0.5

logger = logging.getLogger(__name__)


def cached_cases(
    data: Sequence[Mapping[str, Any]],
    transform: Callable,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
    num_workers: int = 0,
    progress: bool = False,
) -> Dataset:
    """
    A MONAI dataset that prepares every case once.

    Args:
        data: cases.
        transform: deterministic preparation.
        cache: ``memory`` (``CacheDataset``), ``disk`` (``PreparedCases`` in ``cache_dir``), ``none``, or ``auto``:
            memory if all cases, by the size of the first, fit into half of what is free; else disk.
        num_workers: threads that fill the memory cache.

    Raises:
        InputError: for an unknown mode.
    """
    if cache not in CACHE_MODES:
        raise InputError(f"--cache: got '{cache}', wanted one of {', '.join(CACHE_MODES)}.")
    if cache == "auto":
        needed, free = _size(transform(data[0])) * len(data), psutil.virtual_memory().available
        cache = "memory" if needed <= MEMORY_SHARE * free else "disk"
        logger.info("cache: %s (%d cases need %.1f GB, %.1f GB free)", cache, len(data), needed / 1e9, free / 1e9)
    if cache == "memory":
        return CacheDataset(data, transform, num_workers=num_workers or 1, progress=progress and sys.stderr.isatty())
    if cache == "disk":
        folder = Path(cache_dir) if cache_dir is not None else Path("out") / "prepared"
        return PreparedCases(data, transform, folder)
    return Dataset(data, transform)


def training_cases(
    data: Sequence[Mapping[str, Any]],
    transform: Callable,
    augmentation: Callable | None = None,
    seed: int = 0,
    **cache: Any,
) -> SeededCases:
    """
    The dataset of a training or validation: prepared once, augmented by (seed, epoch, case).

    Args:
        cache: keywords of :func:`cached_cases`.
    """
    return SeededCases(cached_cases(data, transform, **cache), augmentation, seed)


def _size(item: Mapping[str, Any]) -> int:
    return sum(v.numel() * v.element_size() for v in item.values() if isinstance(v, torch.Tensor))

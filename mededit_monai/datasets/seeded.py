# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Training cases whose randomness depends on seed, epoch, case and the case's turn in the epoch only.

Nothing random lives in a process: a run that was killed, has other workers or is spread over several devices sees the
same augmented cases with the same noise in the same batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset, Sampler

from mededit_monai.core.errors import InputError, require_whole
from mededit_monai.sampling.noise import case_seed


class SeededCases(Dataset):
    """
    Apply random transforms to cases, seeded by (seed, epoch, case, turn).

    Args:
        cases: map-style dataset of dictionaries with ``case_id``; usually cached.
        augmentation: random transform, or None.
        seed: of the run.

    Indexed by ``(epoch, number, turn)``, as :class:`EpochBatches` yields them, by ``(epoch, number)`` (turn 0), or by a
    number (epoch 0). Every item gets ``seed``, a 63-bit number for the case's diffusion noise and timestep.
    """

    def __init__(self, cases: Dataset, augmentation: Callable | None = None, seed: int = 0) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed

    def __len__(self) -> int:
        return len(self.cases)  # type: ignore[arg-type]

    def __getitem__(self, key: int | tuple[int, int] | tuple[int, int, int]) -> Mapping[str, Any]:
        epoch, number, *turn = key if isinstance(key, tuple) else (0, key)
        item = dict(self.cases[number])
        seed = case_seed(self.seed, f"{item['case_id']}@{epoch}", *turn)
        if self.augmentation is not None:
            if isinstance(self.augmentation, Randomizable):
                self.augmentation.set_random_state(seed=seed % 2**32)
            item = dict(self.augmentation(item))
        return item | {"seed": seed}


class EpochBatches(Sampler):
    """
    Shuffled batches of ``(epoch, number, turn)``, for ``DataLoader(batch_sampler=…)``; a batch cut short is dropped.

    The order of epoch e depends on (seed, e). With several processes each takes its slice of a common batch of
    ``batch_size`` x ``world_size``, so that n processes train on what one process with n times the batch would.

    With ``epoch_cases`` an epoch takes the next so many of all cases, shuffled anew each time that all had their turn:
    the checkpoint at an epoch's end then comes soon, however many cases there are. An epoch of more than all
    takes a case several times: its turns are counted from 0, and each has its own augmentation and noise. In an epoch
    of no more than all every turn is 0, also of a case that ends one shuffle and begins the next.

    Args:
        length: cases.
        batch_size: of one process.
        seed: of the run.
        epoch_cases: of an epoch; None: all.
        rank, world_size: of the process; None for those of ``torch.distributed``, or 0 and 1.

    Raises:
        InputError: if the size cannot be, or not even one batch can be filled.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        epoch_cases: int | None = None,
    ) -> None:
        require_whole("batch_size", batch_size, 1)
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        self.world_size = world_size or (torch.distributed.get_world_size() if distributed else 1)
        self.length, self.batch_size, self.seed, self.epoch = length, batch_size, seed, 1
        self.epoch_cases = length if epoch_cases is None else epoch_cases
        common = batch_size * self.world_size
        if len(self) == 0 and epoch_cases is not None:
            raise InputError(
                f"--epoch_cases: got {epoch_cases}, but a batch takes {common} cases; wanted at least {common}, or a "
                f"smaller --batch_size."
            )
        if len(self) == 0:
            processes = f" in each of {self.world_size} processes" if self.world_size > 1 else ""
            raise InputError(
                f"--batch_size: got {batch_size}{processes}, but the training list has {length} cases; wanted at most "
                f"{length // self.world_size}."
            )

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration is, counted from 1 as Ignite does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.epoch_cases // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[Sequence[tuple[int, int, int]]]:
        order = self._turns()
        common = self.batch_size * self.world_size
        for batch in range(len(self)):
            first = batch * common + self.rank * self.batch_size
            yield [(self.epoch, *one) for one in order[first : first + self.batch_size]]

    def _turns(self) -> list[tuple[int, int]]:
        """The epoch's cases, each with how often the epoch had it before; the same in every process."""
        order = self._order()
        if self.epoch_cases <= self.length:  # as ever, so that trainings of such epochs give the same bytes again
            return [(number, 0) for number in order]
        had: Counter[int] = Counter()
        turns = []
        for number in order:
            turns.append((number, had[number]))
            had[number] += 1
        return turns

    def _order(self) -> list[int]:
        """The epoch's cases."""
        first = (self.epoch - 1) * self.epoch_cases
        rounds = range(first // self.length, (first + self.epoch_cases - 1) // self.length + 1)
        order = [number for one in rounds for number in self._round(one + 1)]
        start = first - rounds[0] * self.length
        return order[start : start + self.epoch_cases]

    def _round(self, number: int) -> list[int]:
        """All cases, shuffled; the rounds are counted from 1."""
        generator = torch.Generator().manual_seed(case_seed(self.seed, f"epoch {number}"))
        order: list[int] = torch.randperm(self.length, generator=generator).tolist()
        return order

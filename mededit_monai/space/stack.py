# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How cases share a batch: the one place that knows which row is whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)
Item = TypeVar("Item")


@dataclass(frozen=True)
class CaseStack:
    """
    A batch of cases, each of so many images (its slices, or one volume), in two forms.

    ``images`` holds case 0's, then case 1's, …; ``rows``, which a network works on, repeats them sample by sample
    within each case: case 0 sample 0, case 0 sample 1, …, case 1 sample 0, ….

    Args:
        counts: images of each case.
        samples: counterfactuals of each case.
    """

    counts: tuple[int, ...]
    samples: int = 1

    @classmethod
    def of(cls, cases: Sequence[Mapping[str, Any]], samples: int = 1) -> CaseStack:
        """The stack of cases that know their ``space`` (:class:`~mededit_monai.space.model_space.ModelSpace`)."""
        return cls(tuple(case["space"].rows for case in cases), samples)

    @staticmethod
    def join(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """``images`` of a tensor a case."""
        return torch.cat(list(parts))

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Case, sample and place among ``images`` of every row."""
        first = 0
        for case, count in enumerate(self.counts):
            for sample in range(self.samples):
                yield from ((case, sample, first + number) for number in range(count))
            first += count

    def rows(self, images: torch.Tensor) -> torch.Tensor:
        """``images`` as ``rows``."""
        return images[[image for _, _, image in self]]

    def of_case(self, images: Array) -> list[Array]:
        """``images`` case by case, each count x …."""
        ends = np.cumsum(self.counts)
        return [images[end - count : end] for count, end in zip(self.counts, ends)]

    def of_samples(self, rows: Array) -> list[Array]:
        """``rows`` case by case, each samples x count x …."""
        several = CaseStack(tuple(count * self.samples for count in self.counts))
        return [part.reshape(self.samples, -1, *rows.shape[1:]) for part in several.of_case(rows)]

    def of_items(self, rows: Sequence[Item]) -> list[list[list[Item]]]:
        """``rows`` that are no array: case by case and sample by sample, a list of count items."""
        found: list[list[list[Item]]] = [[[] for _ in range(self.samples)] for _ in self.counts]
        for item, (case, sample, _) in zip(rows, self):
            found[case][sample].append(item)
        return found


def slices_of(volumes: torch.Tensor) -> torch.Tensor:
    """Volumes NxCxHxWxD as their axial slices, (N·D)xCxHxW: those of the first, then those of the second, …."""
    return volumes.movedim(-1, 1).flatten(0, 1)


def volumes_of(slices: torch.Tensor, depth: int) -> torch.Tensor:
    """What :func:`slices_of` took apart."""
    return slices.unflatten(0, (-1, depth)).movedim(1, -1)

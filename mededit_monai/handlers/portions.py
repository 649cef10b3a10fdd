# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The samples of a case in portions: each is made, written and forgotten, so that memory grows little with them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

#: Most samples of a case that are made together. A network's last bits may depend on its batch (``--exact``), so this
#: is no option: the same samples come out alike on every machine, and up to so many as they did before there were
#: portions.
PORTION = 10

#: Key of a batch: the samples of the portion that is made, a range; without it, all of them.
SAMPLES = "samples"

#: Key of an engine's output: an iterator that makes the outputs of the other portions.
REST = "rest"


def portions(count: int) -> list[range]:
    """The numbers of ``count`` samples, portion by portion."""
    return [range(first, min(first + PORTION, count)) for first in range(0, count, PORTION)]


def samples_of(batch: Mapping[str, Any], count: int) -> range:
    """The samples, of ``count``, that a batch's portion is of."""
    found: range = batch.get(SAMPLES, range(count))
    return found


def outputs_of(output: dict[str, Any], seconds: float) -> Iterator[tuple[dict[str, Any], float]]:
    """
    The outputs of an iteration, one a portion, each with the seconds that it took.

    What is not the last is emptied before the next is made: keep nothing of it.

    Args:
        output: of the first portion; seconds: that it took.
    """
    rest = output.pop(REST, None)
    yield output, seconds
    while rest is not None:
        output.clear()
        started = time.perf_counter()
        found = next(rest, None)
        if found is None:
            return
        output = found
        yield output, time.perf_counter() - started

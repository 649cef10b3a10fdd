# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How much a program says on stderr: errors alone, what a reader wants to know, or all that its libraries log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: What is heard of this package and of all others; a run is as it is by default, unless somebody says otherwise.
LEVELS = {
    "quiet": (logging.ERROR, logging.ERROR),
    "default": (logging.INFO, logging.WARNING),
    "verbose": (logging.INFO, logging.INFO),
}

_now = ["default"]


@contextmanager
def loudness(word: str) -> Iterator[None]:
    """
    While the block runs, log to stderr, a line each.

    Args:
        word: ``quiet``: errors alone. ``default``: this package's own lines too. ``verbose``: those of MONAI, Ignite
            and others as well, with their names.
    """
    own, others = LEVELS[word]
    root, package = logging.getLogger(), logging.getLogger("mededit_monai")
    before = root.level, package.level, _now[0]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if word == "verbose" else "%(message)s"))
    root.addHandler(handler)
    root.setLevel(others)
    package.setLevel(own)
    _now[0] = word
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        package.setLevel(before[1])
        _now[0] = before[2]


def is_quiet() -> bool:
    """Whether errors alone are said."""
    return _now[0] == "quiet"


def loudness_now() -> str:
    """The word of :func:`loudness` that holds, for processes that are to be as loud."""
    return _now[0]


def hush(name: str, level: int) -> None:
    """Keep a logger whose lines bury what a reader wants to a level, unless all is to be heard."""
    logging.getLogger(name).setLevel(logging.NOTSET if _now[0] == "verbose" else level)

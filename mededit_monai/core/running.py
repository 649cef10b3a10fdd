# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The bundle run that is going on: its parser, and its engines."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from monai.bundle import ConfigParser

from mededit_monai.core.errors import reporting_bad_input

_held: ContextVar[tuple[ConfigParser, tuple[str, ...]] | None] = ContextVar("bundle run", default=None)


@contextmanager
def running(parser: ConfigParser, files: Sequence[str] = ()) -> Iterator[ConfigParser]:
    """
    While its items are resolved, their expressions find the parser with :func:`running_parser`.

    Args:
        files: that it was read from.
    """
    token = _held.set((parser, tuple(files)))
    try:
        yield parser
    finally:
        _held.reset(token)


def running_parser() -> ConfigParser:
    """
    The parser whose expression calls this; a config hands it to the functions that want it.

    Runs of this package say which (:func:`running`). MONAI's own command, ``python -m monai.bundle run``, makes its
    parser itself and gives expressions nothing to find it by (MONAI 1.6), so there it is whose method is at work.

    Raises:
        RuntimeError: outside of a bundle run.
    """
    held = (_held.get() or (None, ()))[0]
    frame = None if held is not None else inspect.currentframe()
    while frame is not None and held is None:
        owner = frame.f_locals.get("self")
        held = owner if isinstance(owner, ConfigParser) else None
        frame = frame.f_back
    if held is None:
        raise RuntimeError("works inside a bundle run only.")
    return held


def files_read(parser: ConfigParser) -> tuple[str, ...]:
    """The files that a parser was read from; none if its run, such as one of MONAI's own command, does not say."""
    held, files = _held.get() or (None, ())
    return files if held is parser else ()


def run_engine(parser: ConfigParser, name: str) -> None:
    """
    Build and run an engine of a config.

    The engine is resolved here, not as ``@evaluator`` in the expression, so that bad input met while its parts are
    built ends in one sentence too; MONAI would wrap and hide it.
    """
    with reporting_bad_input():
        engine = parser.get_parsed_content(name)
        # Ignite announces every exception it passes on; the sentence, or the traceback, comes once and at the end.
        engine.logger.addFilter(_is_news)
        if len(engine.data_loader) > 0:  # every case may be done already
            engine.run()


def _is_news(record: logging.LogRecord) -> bool:
    return "terminating due to exception" not in record.getMessage()

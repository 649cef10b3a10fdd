# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Work on several processes that end in order: Ctrl-C and SIGTERM leave nothing half-written, and the parent speaks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch

from mededit_monai.core.errors import require_whole

#: Most processes that an option may ask for.
MOST_WORKERS = 256

_stop: Any = None  # in a worker: set once the parent wants no more


def worker_count(given: int) -> int:
    """
    What ``--workers`` asks for; 0 is every core.

    Raises:
        InputError: less or far more than there can be.
    """
    require_whole("workers", given, 0, most=MOST_WORKERS)
    return given or min(os.cpu_count() or 1, MOST_WORKERS)


def results(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    workers: int,
    ordered: bool = True,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Any]:
    """
    ``function(*job)`` for every job, computed by processes.

    A consumer that may stop early closes the iterator (``contextlib.closing``); then, and after an error, the workers
    leave what they are at, remove what is half-written and end.

    Args:
        ordered: in the order of the jobs, else as they are done.
        prepare: called in every process before its first job.

    Raises:
        BrokenProcessPool: a process was killed.
        Exception: what the function raised, from the process that did.
    """
    # fork, as PyTorch's own loader does on Linux: a fresh interpreter would import MONAI for ten seconds.
    context = get_context("fork" if sys.platform.startswith("linux") else "spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(stop, prepare)) as pool:
        with _signals_wait():
            pending = [pool.submit(_call, function, job) for job in jobs]
        try:
            for future in pending if ordered else as_completed(pending):
                yield future.result()
        except BaseException:
            stop.set()  # for whoever is between two pieces of work
            for process in list((pool._processes or {}).values()):  # Python 3.14 has terminate_workers() for it
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _signals_wait() -> Iterator[None]:
    """
    Keep Ctrl-C and SIGTERM for later, in this process and in those forked meanwhile, which undo it in :func:`_begin`.

    Until then a process has its parent's handlers: what they raise would run the rest of the parent's program twice.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_stopping() -> bool:
    """In a worker, between two pieces of work: whether nobody waits for the next one any more."""
    return _stop is not None and _stop.is_set()


@contextmanager
def one_thread() -> Iterator[None]:
    """Small images: more threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin(stop: Any, prepare: Callable[[], None] | None) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process; the parent answers it
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    torch.set_num_threads(1)
    if prepare is not None:
        prepare()


def _leave(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # the pool sends another one, which must not disturb the cleaning up
    if hasattr(signal, "alarm"):
        signal.alarm(5)  # ends the process if the exit is swallowed on its way
    sys.exit(128 + number)


def _call(function: Callable[..., Any], job: tuple) -> Any:
    if is_stopping():
        return None
    try:
        return function(*job)
    except SystemExit as left:  # what was half-written is removed by now; the pool would only pass the exception on
        os._exit(left.code if isinstance(left.code, int) else 1)

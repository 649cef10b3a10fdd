# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A cluster while a block runs, and jobs on it.

A job whose worker was killed is done again by another one. What a job raises comes out here, and ends the others; what
it says on stderr is said here, once.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any

from mededit_monai.cluster.where import SYSTEMS, Where
from mededit_monai.cluster.worker import Setting, work
from mededit_monai.core.errors import InputError, say, say_lines
from mededit_monai.core.loudness import hush, loudness_now

#: Seconds in which a scheduler that somebody started must answer, and have a worker.
PATIENCE = 30

#: Seconds between two looks at whether all workers are there.
LOOK = 10

#: How the names of jobs begin.
OURS = "mededit-"

#: Jobs that the scheduler has at hand, at least and for each worker: nobody waits, also where workers come later. The
#: others stay here, which a million of them can.
AT_HAND, A_WORKER = 1000, 4


class Cluster:
    """
    Workers that take jobs.

    Args:
        client: of Dask, connected; workers: how many there are to be; output: folder in which jobs write, on which the
            caller holds a claim.

    Attributes:
        workers: how many there are to be.
    """

    def __init__(self, client: Any, workers: int, output: str | Path | None = None) -> None:
        self.workers = workers
        self._client = client
        self._setting = Setting(os.getcwd(), None if output is None else str(output), loudness_now())
        self._said: set[int] = set()
        client.subscribe_topic("all", self._notice)

    def leave(self) -> None:
        """Hear no more of the workers: that they end is no loss now."""
        with suppress(Exception):  # the scheduler may have gone
            self._client.unsubscribe_topic("all")

    def results(
        self, function: Callable[..., Any], jobs: Iterable[tuple], lost: Callable[[int], Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """
        ``function(*job)`` for every job, with the number of the job, as they are done.

        A consumer that may stop early closes the iterator (``contextlib.closing``); then, and after an error, what has
        not begun is given up.

        Args:
            function: of a module, which workers can import.
            lost: makes the result of a job, by its number, that was on one worker after the other when it was killed.

        Raises:
            InputError: such a job where ``lost`` is not given; a scheduler that has gone; what a job raised.
            Exception: what a job raised.
        """
        from distributed import as_completed

        waiting, running, done = enumerate(jobs), {}, as_completed()
        name = f"{OURS}{secrets.token_hex(6)}"  # Dask takes jobs of one name for the same

        def begin(count: int) -> None:
            for number, job in islice(waiting, count):
                future = self._client.submit(work, self._setting, function, job, key=f"{name}-{number}")
                running[future] = number
                done.add(future)

        begin(max(AT_HAND, A_WORKER * self.workers))
        try:
            for future in done:
                number = running.pop(future)
                begin(1)
                yield number, self._result(future, number, lost)
        finally:
            if running:
                with suppress(Exception):  # the scheduler may have gone
                    self._client.cancel(list(running), force=True)

    def _result(self, future: Any, number: int, lost: Callable[[int], Any] | None) -> Any:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            result, heard = future.result()
        except KilledWorker as error:
            if lost is None:
                raise InputError(f"--cluster: a job {KILLED}") from error
            return lost(number)
        except FutureCancelledError as error:
            raise InputError("--cluster: the scheduler has gone; run the command again, which goes on.") from error
        lines = [line for line in heard.splitlines() if hash(line) not in self._said]
        self._said.update(map(hash, lines))
        say_lines(lines)
        return result

    def _notice(self, event: tuple[float, dict[str, Any]]) -> None:
        facts = event[1]
        if facts.get("action") != "remove-worker" or facts.get("expected"):
            return
        if any(str(key).startswith(OURS) for key in facts.get("processing-tasks") or ()):
            say("a worker was lost; what it was at is done again by another.")


#: What is said of a job that nobody could finish.
KILLED = (
    "was at one worker after the other when that was killed, as happens when memory runs out; give fewer workers, or "
    "workers with more memory."
)


@contextmanager
def cluster(word: str, output: str | Path | None = None) -> Iterator[Cluster]:
    """
    The cluster that ``--cluster`` names, while the block runs. One that was started for it ends with it.

    Args:
        word: as :class:`~mededit_monai.cluster.where.Where` reads it.
        output: folder in which jobs write, on which the caller holds a claim.

    Raises:
        InputError: a word that is none, a package that is missing, a scheduler that does not answer.
    """
    where = Where.of(word)
    _require_dask(where)
    with ExitStack() as stack:
        if where.workers is not None:
            client, workers = _local(where.workers, stack), where.workers
        elif where.address is not None:
            client = _connected(where.address, stack)
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
        else:
            client, workers = _queued(where, stack), where.jobs
        found = Cluster(client, workers, output)
        stack.callback(found.leave)
        yield found


def _require_dask(where: Where) -> None:
    import importlib

    for name in ("distributed", *(["dask_jobqueue"] if where.system else [])):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"--cluster: needs the package {name.replace('_', '-')}; pip install 'mededit_monai[cluster]'."
            ) from error
    for name in ("distributed", "distributed.client"):
        hush(name, logging.CRITICAL)  # what ends a run is said in a sentence, and a worker that is lost in another


def _local(workers: int, stack: ExitStack) -> Any:
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import get_mp_context

    if os.name == "posix":  # modules are imported once, not by every worker, nor by one that takes another's place
        stack.enter_context(dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}))
        get_mp_context().set_forkserver_preload(["distributed", *_imported()])
    started = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,  # the system's own limits hold, as for any process
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        preload=["mededit_monai.cluster.worker"],
        env={name: value for name, value in os.environ.items() if name.startswith(("MEDEDIT_", "OMP_"))},
    )
    stack.callback(started.close)
    stack.enter_context(_kept(partial(started.scale, workers)))
    return stack.enter_context(Client(started))


@contextmanager
def _kept(scale: Callable[[], Any]) -> Iterator[None]:
    """
    Ask for the workers again and again, which does nothing as long as all are there. One that dies while it starts is
    given up by Dask; without workers a run would wait for ever.
    """
    over = Event()

    def keep() -> None:
        while not over.wait(LOOK):
            scale()

    keeper = Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _imported() -> list[str]:
    """Modules of the package that the parent has needed so far: its jobs need them too."""
    return sorted(name for name in sys.modules if name.startswith("mededit_monai.") and ".cli" not in name)


def _connected(address: str, stack: ExitStack) -> Any:
    from distributed import Client

    try:
        client = stack.enter_context(Client(address, timeout=PATIENCE))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"--cluster: no Dask scheduler answers at {address}; start one, or mend the word.") from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise InputError(
            f"--cluster: the scheduler at {address} has no worker; start some with 'dask worker {address} --nthreads 1'"
        ) from error
    return client


def _queued(where: Where, stack: ExitStack) -> Any:
    import dask_jobqueue
    from distributed import Client

    try:
        started = getattr(dask_jobqueue, SYSTEMS[str(where.system)])(**where.settings)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"--cluster: dask-jobqueue refuses the file ({' '.join(str(error).split())[:300]})."
        ) from error
    stack.callback(started.close)
    started.scale(jobs=where.jobs)
    stack.enter_context(_kept(partial(started.scale, jobs=where.jobs)))
    say(f"{where.jobs} jobs are asked of {where.system}; the cases begin when the first of them does.")
    return stack.enter_context(Client(started))

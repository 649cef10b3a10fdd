# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A process that is killed at a chosen moment: a fork of this one, which has imported everything.

A fork is as good as a process of its own: SIGKILL ends it at once, in whatever it is doing, and nothing is flushed or
removed; all that it leaves is what it had given to the file system. Only the seconds of importing are spared, in which
nothing is written. Two things differ: memory that this process filled is there from the start, so it fills none beside
modules; and random generators would all begin alike, so a fork gives them new seeds, as new processes have.

A moment is told by one of two clocks, both of which stand still while other programs have the processor. **seconds** of
the process's own computing hit anywhere, also in the middle of a write. **operations** that change the file system
(opening to write, renaming, removing, making folders) hit between two of them, where order matters, however fast they
follow one another.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS, OPERATIONS = "seconds", "operations"
CLOCKS = (SECONDS, OPERATIONS)

#: Events of Python's that change what lies in a folder.
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Moment:
    """``at`` so many ``seconds`` of computing, or right before the operation of this number (from 1), by its clock."""

    clock: str
    at: float


@dataclass(frozen=True)
class Ended:
    """
    How a process ended.

    Args:
        code: of its exit; None: it was killed, as it should be.
        seconds: that it computed; operations: that it made, -1 if it was killed; modules: that it had imported then.
    """

    code: int | None
    seconds: float
    operations: int = -1
    modules: tuple[str, ...] = ()


def run(call: Callable[[], Any], folder: Path, said: Path, moment: Moment | None = None, limit: float = 600) -> Ended:
    """
    Call a function in a fork.

    Args:
        folder: in which operations count.
        said: file that gets what the fork says.
        moment: at which it is killed, if it is at work still; None: it runs to its end.
        limit: seconds of the wall clock; RuntimeError after that.
    """
    told = said.with_suffix(".told")
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _be_the_child(call, folder, said, told, moment)
    try:
        seconds, status = _watched(child, moment, said, limit)
    except BaseException:  # whoever is interrupted leaves no fork at work
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return Ended(None, seconds)
    facts = json.loads(told.read_bytes()) if told.is_file() else {"operations": -1, "modules": ()}
    return Ended(os.waitstatus_to_exitcode(status), seconds, facts["operations"], tuple(facts["modules"]))


def _watched(child: int, moment: Moment | None, said: Path, limit: float) -> tuple[float, int]:
    """Wait for the end of a fork, or bring it about in its moment: seconds that it computed, and its status."""
    seconds, ends = 0.0, time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return seconds, status
        seconds = _computed(child)
        if moment is not None and moment.clock == SECONDS and seconds >= moment.at:
            os.kill(child, signal.SIGKILL)
            moment = None
        elif time.monotonic() > ends:
            raise RuntimeError(f"a process did not end within {limit:.0f} s; see {said}")
        time.sleep(0.001)


def _computed(process: int) -> float:
    """Seconds that a process has computed, in all its threads; Linux names its clock so (``MAKE_PROCESS_CPUCLOCK``)."""
    return time.clock_gettime((~process << 3) | 2)


def _be_the_child(call: Callable[[], Any], folder: Path, said: Path, told: Path, moment: Moment | None) -> None:
    code = 70
    try:
        _speak_to(said)
        _seed_anew()
        made = _counted(folder, moment)
        try:
            code = int(call() or 0)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        told.write_text(json.dumps({"operations": made[0], "modules": sorted(sys.modules)}))
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _speak_to(said: Path) -> None:
    place = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(place, stream)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(k), "w", buffering=1) for k in (1, 2))


def _seed_anew() -> None:
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def _counted(folder: Path, moment: Moment | None) -> list[int]:
    """Count the operations in a folder from now on, and die right before the one of a moment."""
    made, top = [0], f"{folder}{os.sep}"
    last = int(moment.at) if moment is not None and moment.clock == OPERATIONS else None

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            changes = isinstance(given[2], int) and bool(given[2] & _WRITES)
        else:
            changes = event in _CHANGES
        if changes and isinstance(given[0], (str, bytes, os.PathLike)) and os.fsdecode(given[0]).startswith(top):
            made[0] += 1
            if made[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return made

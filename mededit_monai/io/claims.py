# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Two runs at once: what one run is writing, no other takes up."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import naming
from mededit_monai.io.outputs import make_folder

#: Folder in the output folder while runs are at work: a lock held by each, and the names that it writes.
RUNS = ".mededit.runs"

#: What stands for every name of a folder.
ALL = "*"


@contextmanager
def claim(folder: str | Path, names: Collection[str] = (ALL,)) -> Iterator[None]:
    """
    Hold names in a folder while the block runs.

    The lock dies with its process, so a run that was killed leaves nothing that would have to be removed by hand.
    Folders that the claim had to make are removed again where nothing was written to them.

    Args:
        folder: that is written to; made if it is not there.
        names: of files or folders in it; ``*`` for all.

    Raises:
        InputError: another run that is still at work holds one of the names.
        OSError: the folder cannot be written to.
    """
    folder, wanted = Path(folder), set(names)
    absent = [p for p in (folder, *folder.parents) if not os.path.lexists(p)]
    make_folder(folder)
    runs = folder / RUNS
    own = f"{os.getpid()}_{secrets.token_hex(4)}"
    lock = FileLock(runs / f"{own}.lock", timeout=0)
    held = False
    try:
        with _registry(runs):
            _require_unclaimed(runs, folder, wanted)
            with naming(runs / f"{own}.json"):
                (runs / f"{own}.json").write_text(
                    json.dumps({"names": sorted(wanted), "process": os.getpid(), "host": socket.gethostname()})
                )
            lock.acquire()
            held = True
        yield
    finally:
        with suppress(OSError, Timeout), _registry(runs):
            if held:
                (runs / f"{own}.lock").unlink(missing_ok=True)
                lock.release()
            (runs / f"{own}.json").unlink(missing_ok=True)  # last: by it, a run that was killed is found
        for place in absent:  # innermost first; only what is empty goes
            with suppress(OSError):
                place.rmdir()


@contextmanager
def exclusive(folder: str | Path) -> Iterator[None]:
    """For a moment, keep other runs in the same folder from what this block reads and writes."""
    with _registry(Path(folder) / RUNS):
        yield


@contextmanager
def _registry(runs: Path) -> Iterator[None]:
    """
    Held for the moment in which claims are looked at and changed; the last run takes the folder away, and whoever comes
    takes away what runs that were killed left in it.
    """
    for attempt in range(100):
        lock = FileLock(runs / "registry.lock", timeout=60)
        try:
            make_folder(runs)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # file systems without locks get the next best thing
                lock.acquire()
            break
        except (FileNotFoundError, FileExistsError):  # the last run was just taking the folder away
            if attempt == 99:
                raise
            time.sleep(0.02)
    try:
        _forget_killed(runs)
        yield
    finally:
        if not any(p.name != "registry.lock" for p in runs.iterdir()):
            (runs / "registry.lock").unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            runs.rmdir()


def _forget_killed(runs: Path) -> None:
    for place in runs.glob("*.json"):
        lock = place.with_suffix(".lock")
        with suppress(Timeout), FileLock(lock, timeout=0):  # nobody holds it: its run was killed
            lock.unlink(missing_ok=True)
            place.unlink(missing_ok=True)


def _require_unclaimed(runs: Path, folder: Path, wanted: set[str]) -> None:
    for place in sorted(runs.glob("*.json")):
        try:
            facts = json.loads(place.read_text())
        except (OSError, ValueError):
            continue
        common = sorted(set(facts["names"]) & wanted) or [ALL] * (ALL in wanted or ALL in facts["names"])
        if common:
            what = folder if common[0] == ALL else folder / common[0]
            raise InputError(
                f"{what}: another run is writing it (process {facts['process']} on {facts['host']}); wait for it, or "
                f"choose another output folder."
            )

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Work on several processes: order, errors as sentences, and what is left when it is stopped."""

from __future__ import annotations

import errno
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError, find_input_error
from mededit_monai.io.atomic import replacing
from mededit_monai.simulation.pool import results, worker_count


def squared(number: int) -> int:
    return number * number


def failing(number: int, how: str) -> int:
    if number == 1 and how == "input":
        raise InputError("a.nii: is damaged; copy it again.")
    if number == 1 and how == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "b.nii")
    if number == 1 and how == "memory":
        raise MemoryError
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow_writer(number: int, folder: Path) -> int:
    with replacing(folder / f"{number}.txt") as unfinished:
        unfinished.write_text("half")
        for _ in range(600 * (number > 0)):
            time.sleep(0.1)
    return number


def test_order():
    jobs = [(k,) for k in range(7)]
    assert list(results(squared, jobs, 2)) == [k * k for k in range(7)]
    assert sorted(results(squared, jobs, 2, ordered=False)) == [k * k for k in range(7)]


@pytest.mark.parametrize(
    "how, words",
    [
        ("input", "a.nii: is damaged; copy it again."),
        ("disk", "b.nii: no space left on device; free some space"),
        ("memory", "not enough memory"),
        ("killed", "a process of this run was killed, as happens when memory runs out"),
    ],
)
def test_errors_of_a_process_are_sentences(how, words):
    with pytest.raises(Exception) as caught:
        list(results(partial(failing, how=how), [(k,) for k in range(4)], 2))
    sentence = str(find_input_error(caught.value))
    assert sentence.startswith(words) and "\n" not in sentence


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on Linux only")
def test_a_process_stopped_at_its_birth_does_not_go_on_as_its_parent(tmp_path, monkeypatch):
    """Stopped between the fork and its own handlers, it had its parent's, and their exception left the pool."""
    fork, parent = os.fork, os.getpid()

    def stopped_at_birth() -> int:
        pid = fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    def handler(number, frame):
        if os.getpid() != parent:
            (tmp_path / "parent's").touch()
            os._exit(1)

    before = signal.signal(signal.SIGTERM, handler)
    monkeypatch.setattr(os, "fork", stopped_at_birth)
    try:
        with pytest.raises(BrokenProcessPool):
            list(results(squared, [(k,) for k in range(3)], 2))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not list(tmp_path.iterdir())


def test_a_consumer_that_leaves_does_not_wait(tmp_path):
    """As Ctrl-C does: what the others are at is given up, and nothing half-written stays."""
    began = time.monotonic()
    with closing(results(partial(slow_writer, folder=tmp_path), [(k,) for k in range(20)], 2)) as found:
        assert next(found) == 0
        while not list(tmp_path.glob(".*.unfinished.*")):
            time.sleep(0.05)
    assert time.monotonic() - began < 20
    assert [p.name for p in tmp_path.iterdir()] == ["0.txt"]


def test_worker_count():
    assert worker_count(3) == 3 and 1 <= worker_count(0) <= 256
    for count in (-1, 257, 2.0):
        with pytest.raises(InputError, match="--workers: got"):
            worker_count(count)

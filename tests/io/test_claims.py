# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.claims import ALL, RUNS, claim, exclusive

HOLD = """
import sys, time
from mededit_monai.io.claims import claim
with claim(sys.argv[1], sys.argv[2].split(',')):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture()
def other_run(tmp_path):
    """Another process that holds names in a folder."""
    started = []

    def start(names: str) -> subprocess.Popen:
        run = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "out"), names], stdout=subprocess.PIPE, text=True
        )
        started.append(run)
        assert run.stdout.readline() == "held\n"
        return run

    yield start
    for run in started:
        run.kill()
        run.wait()


@pytest.mark.parametrize("theirs, mine", [("a,b", ["b", "c"]), (ALL, ["c"]), ("a", [ALL]), (ALL, [ALL])])
def test_what_another_run_writes_is_refused_in_a_sentence(tmp_path, other_run, theirs, mine):
    run = other_run(theirs)
    with (
        pytest.raises(InputError, match=f"another run is writing it .process {run.pid} on .*another output folder"),
        claim(tmp_path / "out", mine),
    ):
        pass


def test_other_names_go_side_by_side(tmp_path, other_run):
    other_run("a,b")
    with claim(tmp_path / "out", ["c"]):
        pass


def test_a_run_that_was_killed_holds_nothing(tmp_path, other_run):
    run = other_run(ALL)
    run.kill()
    run.wait()
    with claim(tmp_path / "out"):
        pass
    assert not (tmp_path / "out" / RUNS).exists()


@pytest.mark.parametrize("lock", [True, False])
def test_what_a_killed_run_left_goes_whoever_comes_next(tmp_path, lock):
    """It may have nothing to claim; and the killed run may have given back its lock."""
    runs = tmp_path / RUNS
    runs.mkdir()
    (runs / "1_0123abcd.json").write_text("{")
    (runs / "registry.lock").touch()
    if lock:
        (runs / "1_0123abcd.lock").touch()
    with exclusive(tmp_path):
        assert [path.name for path in runs.iterdir()] == ["registry.lock"]
    assert not runs.exists()


def test_a_run_at_work_keeps_its_claim(tmp_path, other_run):
    other_run("a")
    with exclusive(tmp_path / "out"):
        pass
    with pytest.raises(InputError, match="another run"), claim(tmp_path / "out", ["a"]):
        pass


def test_nothing_is_left_behind(tmp_path):
    with claim(tmp_path / "new" / "out", ["a"]), claim(tmp_path / "new" / "out", ["b"]):
        assert (tmp_path / "new" / "out" / RUNS).is_dir()
    assert list(tmp_path.iterdir()) == []  # folders that were made for nothing go too
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "out"):
        (tmp_path / "out" / "result").write_text("kept")
        raise KeyboardInterrupt
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["result"]


def test_many_at_once_do_not_crash(tmp_path):
    """Eight processes claim eight names of one folder again and again."""
    code = """
import sys
from mededit_monai.io.claims import claim
for _ in range(10):
    with claim(sys.argv[1], [sys.argv[2]]): pass
"""
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out"), f"case{k}"]) for k in range(8)]
    deadline = time.monotonic() + 60
    assert [run.wait(deadline - time.monotonic()) for run in runs] == [0] * 8
    assert set(tmp_path.rglob("*")) <= {tmp_path / "out"}  # made by one, held by another when that one ended


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in ("file", "file/sub"):
        with pytest.raises(InputError, match="file: is a file, wanted a folder"), claim(tmp_path / place):
            pass

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on workers: what is killed is done again, what is raised is a sentence, what is said is said once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version

import pytest
from cluster import jobs

from mededit_monai import __version__
from mededit_monai.cluster import run
from mededit_monai.cluster.run import Cluster, cluster
from mededit_monai.cluster.worker import Setting, work
from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.claims import claim

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    with cluster("local:2") as found:
        yield found


def test_every_job_is_done_and_heard_once(two, capsys):
    assert two.workers == 2
    assert dict(two.results(jobs.squared, ((k,) for k in range(30)))) == {k: k * k for k in range(30)}
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == sorted(["mededit: warning: of every case", *(f"mededit: case {k}" for k in range(30))])


def test_a_job_runs_where_its_parent_is(two, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cluster("local:1") as one:
        assert dict(one.results(jobs.where, [()])) == {
            0: (str(tmp_path.resolve()), os.environ.get("OMP_NUM_THREADS", "1"))
        }


def test_what_a_job_raises_ends_the_others(two):
    with pytest.raises(InputError, match="^0.nii: is damaged; copy it again.$"):
        for _ in two.results(jobs.refusing, [(0,)] + [(0,)] * 50):
            pass


def test_a_worker_that_is_killed_loses_nothing(two, tmp_path, capsys):
    found = dict(two.results(jobs.dying_once, [(k, tmp_path) for k in range(6)]))
    assert found == {k: k for k in range(6)} and (tmp_path / "killed").exists()
    assert capsys.readouterr().err.count("a worker was lost; what it was at is done again by another.") == 1


@pytest.mark.slow
def test_a_job_that_kills_every_worker(two):
    assert dict(two.results(jobs.deadly, [(0,)], lambda number: f"{number} is lost")) == {0: "0 is lost"}
    with pytest.raises(InputError, match="was at one worker after the other when that was killed"):
        list(two.results(jobs.deadly, [(0,)]))
    assert dict(two.results(jobs.squared, [(3,)])) == {0: 9}


@pytest.mark.slow
def test_who_leaves_does_not_wait(tmp_path):
    """As Ctrl-C does: the workers end, and what they left half-written can be told and removed."""
    began = time.monotonic()
    with cluster("local:2") as two, closing(two.results(jobs.slow_writer, [(k, tmp_path) for k in range(9)])) as found:
        assert next(found)[0] == 0
        while not list(tmp_path.glob(".*.unfinished.*")):
            time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 40
    remove_unfinished(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["0.txt"]


@pytest.mark.slow
def test_a_scheduler_that_somebody_started(two):
    two._client.wait_for_workers(2, timeout=60)  # the test before may have killed one
    address = two._client.scheduler.address
    with cluster(address) as other:
        assert other.workers == 2 and dict(other.results(jobs.squared, [(5,)])) == {0: 25}
    assert dict(two.results(jobs.squared, [(6,)])) == {0: 36}  # it is there still


def test_no_scheduler_answers(monkeypatch):
    monkeypatch.setattr(run, "PATIENCE", 0.2)
    with (
        pytest.raises(InputError, match="--cluster: no Dask scheduler answers at tcp://127.0.0.1:9"),
        cluster("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("package", ["distributed", "dask_jobqueue"])
def test_a_package_that_is_missing(tmp_path, monkeypatch, package):
    (tmp_path / "pbs.yaml").write_text("{system: pbs, jobs: 2}")
    monkeypatch.setitem(sys.modules, package, None)
    needs = rf"package {package.replace('_', '-')}; pip install 'mededit_monai\[cluster\]'"
    with pytest.raises(InputError, match=needs), cluster(str(tmp_path / "pbs.yaml")):
        pass


class Worker:
    """What a job can see of its worker."""

    def __init__(self, threads: int) -> None:
        self.state = type("State", (), {"nthreads": threads})


@pytest.mark.parametrize(
    "threads, changes, why",
    [
        (8, {}, "has 8 threads, wanted 1; start it with 'dask worker --nthreads 1'"),
        (
            1,
            {"versions": ("0.0.1", version("torch"))},
            f"has mededit_monai {__version__} .*, wanted mededit_monai 0.0.1",
        ),
        (1, {"folder": "/not/here"}, "has no folder /not/here"),
        (1, {"output": "/not/here/out"}, "does not see /not/here/out; choose an --output_dir that all workers share"),
    ],
)
def test_a_worker_that_would_make_something_else(tmp_path, monkeypatch, threads, changes, why):
    monkeypatch.setattr(distributed, "get_worker", lambda: Worker(threads))
    monkeypatch.chdir(tmp_path)
    with claim(tmp_path / "out"):
        setting = {"folder": str(tmp_path), "output": str(tmp_path / "out"), "loud": "default"}
        assert threads > 1 or work(Setting(**setting), pow, (2, 3)) == (8, "")
        with pytest.raises(InputError, match=f"^--cluster: a worker on .* {why}"):
            work(Setting(**setting | changes), pow, (2, 3))


def test_a_million_jobs_are_not_handed_over_at_once(two):
    """The scheduler is given as many as keep the workers busy."""
    given = []

    def endless() -> Iterator[tuple[int]]:
        for k in range(10**6):
            given.append(k)
            yield (k,)

    with closing(two.results(jobs.squared, endless())) as found:
        next(found)
        assert len(given) <= run.AT_HAND + 1

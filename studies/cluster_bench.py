# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What a cluster gives and costs, and what a million edits would take.

    python -m studies.cluster_bench -o out/cluster_bench

Edits the slices of a small simulated cohort with one worker and with two, which have built the network before the
clock starts, and prints the efficiency: the time of one over twice the time of two (wanted at least 85 %; the machine
must have two idle cores). Then 10 000 jobs that do nothing, one by one and by the hundred: the scheduler's cost a job.
Last a plan on paper for ``--edits`` edits, by what was measured.

    … --plan_from out/many/edits

measures nothing, and makes the plan from the edits of a folder that mededit wrote: seconds by their provenance, bytes
by their files. ``--seconds`` puts those of another machine in their place, such as a GPU's of ``mededit bench``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_number, require_whole
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.reports.edit_summary import result_facts
from mededit_monai.reports.plain_text import markdown_table

#: Efficiency of two workers that is wanted.
WANTED = 0.85

#: Jobs of the second part, and how many of them travel together the second time.
TINY, TOGETHER = 10_000, 100

#: Workers of the plan.
WORKERS = (1, 8, 64, 512)


@dataclass(frozen=True)
class Cost:
    """
    What an edit costs.

    Args:
        seconds: of a worker; megabytes: that are written.
        overhead: seconds a job that the scheduler takes, one job after the other.
        efficiency: share of the workers' time that goes into edits.
    """

    seconds: float
    megabytes: float
    overhead: float
    efficiency: float

    def worker_hours(self, edits: int) -> float:
        """GPU hours, where a worker has a GPU: edits x seconds / efficiency."""
        return edits * self.seconds / self.efficiency / 3600

    def terabytes(self, edits: int) -> float:
        """What is written, of 10¹² bytes."""
        return edits * self.megabytes / 1e6

    def days(self, edits: int, workers: int) -> float:
        """How long it takes: as long as the workers do, or the scheduler, whichever is more."""
        return max(self.worker_hours(edits) * 3600 / workers, edits * self.overhead) / 86400

    @property
    def most_workers(self) -> float:
        """Beyond so many, the scheduler is what takes the time."""
        return self.seconds / self.efficiency / self.overhead


def plan(cost: Cost, edits: int) -> str:
    """The plan as a table in Markdown."""
    rows = [
        ["an edit", f"{cost.seconds:.3g} s, {cost.megabytes:.3g} MB"],
        ["efficiency, overhead a job", f"{cost.efficiency:.0%}, {1000 * cost.overhead:.2g} ms"],
        [f"GPU hours of {edits:,} edits", f"{cost.worker_hours(edits):,.0f}"],
        ["terabytes written", f"{cost.terabytes(edits):.3g}"],
        *([f"days with {n} worker{'s' * (n > 1)}", f"{cost.days(edits, n):.3g}"] for n in WORKERS),
        ["workers that one scheduler keeps busy", f"{cost.most_workers:,.0f}"],
    ]
    return "\n".join(markdown_table(["of the plan", ""], rows))


def edits_in(folder: Path) -> tuple[float, float]:
    """
    Mean seconds and megabytes of the edits in a folder.

    Raises:
        InputError: there are none.
    """
    found = [place for place in sorted(folder.glob("*")) if place.is_dir() and result_facts(place)]
    if not found:
        raise InputError(f"--plan_from: {folder} holds no edits; give the --output_dir of 'mededit edit'.")
    seconds = [float((result_facts(place) or {})["seconds"]) for place in found]
    sizes = [sum(p.stat().st_size for p in place.rglob("*") if p.is_file()) for place in found]
    return sum(seconds) / len(found), sum(sizes) / len(found) / 1e6


def timed_edits(parser: Any, cases: Sequence[Any], out: Path, workers: int) -> tuple[float, float]:
    """
    Edit the cases with so many workers.

    Returns:
        seconds of the start, until every worker has edited a case, and of the edits after that.
    """
    from mededit_monai.cluster.bundle import INFERENCE, jobs_of, work_on
    from mededit_monai.cluster.run import cluster
    from mededit_monai.io.claims import claim

    began = time.perf_counter()
    with claim(out), cluster(f"local:{workers}", out) as found:
        _drain(found.results(work_on, jobs_of(parser, INFERENCE, cases[:workers], 1)))
        started = time.perf_counter()
        _drain(found.results(work_on, jobs_of(parser, INFERENCE, cases, 1)))
        return started - began, time.perf_counter() - started


def _drain(results: Iterable[Any]) -> None:
    with closing(results):  # type: ignore[type-var]
        for _ in results:
            pass


def _cases(out: Path, count: int, steps: int) -> Any:
    """The parser of an editing run over a simulated cohort's slices."""
    from monai.bundle import ConfigParser

    from mededit_monai.core.plain_values import as_data
    from mededit_monai.simulation.plan import Recipe
    from mededit_monai.simulation.simulate import simulate_cohort
    from mededit_monai.workflows import overrides

    datalist = simulate_cohort(Recipe("stroke", count), out / "cohort", progress=False).datalist
    root, parser = bundle_root("stroke"), ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    given = {"datalist": datalist, "output_dir": out / "edits", "slice_index": "auto", "steps": steps, "device": "cpu"}
    parser.update(overrides(given) | {"bundle_root": as_data(str(root))})
    return parser


def measured(out: Path, count: int, steps: int) -> Cost:
    """Measure, print, and say what an edit costs."""
    from mededit_monai.core.running import running

    parser = _cases(out, count, steps)
    with running(parser):
        began = time.perf_counter()
        cases = parser.get_parsed_content("cases")
        if len(cases) < count:
            raise InputError(f"--output_dir: {out} holds edits of an earlier run; choose another folder.")
        print(f"looking at a case before it is shared out: {1000 * (time.perf_counter() - began) / count:.1f} ms")
        taken = {}
        for workers in (1, 2):
            start, taken[workers] = timed_edits(parser, cases, out / "edits", workers)
            print(
                f"{workers} worker{'s' * (workers > 1)}: start {start:.1f} s, {count} edits in {taken[workers]:.1f} s"
            )
    efficiency = taken[1] / (2 * taken[2])
    print(f"efficiency of two workers: {efficiency:.0%} (wanted at least {WANTED:.0%})")
    return Cost(taken[1] / count, edits_in(out / "edits")[1], overhead(), min(efficiency, 1.0))


def overhead(cases: int = TINY) -> float:
    """Measure and print what tiny cases cost, one by one and together; seconds a case that is a job of its own."""
    from mededit_monai.cluster.run import cluster

    found: dict[int, float] = {}
    with cluster("local:2") as two:
        _drain(two.results(sum, [([1],)] * 100))  # both are there
        for together in (1, TOGETHER):
            began = time.perf_counter()
            _drain(two.results(sum, (([1] * together,) for _ in range(cases // together))))
            found[together] = (time.perf_counter() - began) / cases
            print(f"{cases:,} tiny cases, {together} a job: {1000 * found[together]:.3f} ms a case")
    return found[1]


def main() -> int:
    """Command line of the module; exit code 1 if two workers are less efficient than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output_dir", default="out/cluster_bench")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--edits", type=int, default=1_000_000)
    parser.add_argument("--plan_from")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--overhead", type=float, default=0.001, help="seconds a job, of a plan from a folder")
    parser.add_argument("--efficiency", type=float, default=WANTED, help="of a plan from a folder")
    given = parser.parse_args()
    with exit_on_bad_input():
        require_whole("cases", given.cases, 3, most=10**4)
        require_whole("edits", given.edits, 1, most=10**9)
        require_number("efficiency", given.efficiency, 0.01, 1)
        require_number("overhead", given.overhead, 1e-6, 10)
        require_number("seconds", given.seconds, 1e-3, 1e5, optional=True)
        if given.plan_from is None:
            cost = measured(user_path(given.output_dir), given.cases, given.steps)
        else:
            seconds, megabytes = edits_in(user_path(given.plan_from))
            cost = Cost(given.seconds or seconds, megabytes, given.overhead, given.efficiency)
        print(f"\n{plan(cost, given.edits)}")
    return 0 if given.plan_from is not None or cost.efficiency >= WANTED else 1


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Kill the program at random moments, restart it with the same command, and compare what it ends with.

    python -m studies.kill --count 200 -o out/kill
    python -m studies.kill --only 17 -o out/kill_17     # the kill of this number alone

Training, simulation, batch editing and evaluation, at toy size, take turns (``kill_works.py``). Each is killed by
SIGKILL at a moment that its seed and number decide: half of them by the time that it has computed, half right before
one of its changes of the file system (``kill_process.py``). One restart in four is killed as well. The last restart
must end with exit code 0, with the files of a run that nobody disturbed, byte by byte but for what tells of time, with
nothing half-written beside them, and with its inputs as they were.

Writes ``kill.json`` and ``kill.md``. Run again it goes on where it stopped. Exit code 1 if a restart ended otherwise.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studies.kill_process import CLOCKS, OPERATIONS, SECONDS, Ended, Moment, run
from studies.kill_works import LOGS, TIMES, Work, result, works, write_inputs

FILES = ("kill.json", "kill.md")

#: How far a work was when it was killed.
BEFORE, WRITING, BETWEEN, AFTER = "before the first file", "a file half-written", "between two files", "after the last"
PHASES = (BEFORE, WRITING, BETWEEN, AFTER)

#: Share of restarts that are killed as well, and of runs that find an older result.
AGAIN, OLDER = 0.25, 0.5

#: How often a moment is drawn anew when the work was done before it came.
TRIES = 20


@dataclass(frozen=True)
class Undisturbed:
    """A work that nobody killed: its ``result``, the ``seconds`` that it computed, the ``operations`` that it made."""

    result: Mapping[str, Any]
    seconds: float
    operations: int


@dataclass(frozen=True)
class Killed:
    """
    A work that was killed and restarted.

    Args:
        number: of the kill; work: its name; clock: by which the moment was drawn.
        older: whether there was an older result.
        phases: in which it was killed, the restarts too.
        seconds: of all.
        wrong: what is not as it would be otherwise, a line each.
    """

    number: int
    work: str
    clock: str
    older: bool
    phases: tuple[str, ...]
    seconds: float
    wrong: tuple[str, ...]


class Killer:
    """
    Kills works in a folder of its own.

    Args:
        place: empty folder; inputs: what the works are given, which they must not change.
        seed: of the moments.
    """

    def __init__(self, place: Path, inputs: Path, seed: int) -> None:
        self.place, self.inputs, self.seed = place, inputs, seed
        self.out, self.said = place / "run" / "out", place / "said.txt"
        self._known: dict[str, Undisturbed] = {}
        self._older: set[str] = set()

    def _clean(self) -> None:
        shutil.rmtree(self.place / "run", ignore_errors=True)
        self.said.unlink(missing_ok=True)
        for name in ("cache", "temporary", "here"):
            (self.place / "run" / name).mkdir(parents=True)

    def _run(self, call: Callable[[Path], Any], moment: Moment | None = None) -> Ended:
        def surrounded() -> Any:
            os.environ |= {name: str(self.place / "run" / at) for name, at in _PLACES.items()}
            tempfile.tempdir = None
            os.chdir(self.place / "run" / "here")
            return call(self.out)

        return run(surrounded, self.place / "run", self.said, moment)

    def _must(self, call: Callable[[Path], Any]) -> Ended:
        ended = self._run(call)
        if ended.code != 0:
            raise RuntimeError(f"exit code {ended.code} without any kill: {self._last_words()}")
        return ended

    def undisturbed(self, work: Work) -> Undisturbed:
        """The work's result, once made; what it imports is then imported here, for the forks to come."""
        if work.name not in self._known:
            self._clean()
            _import(self._must(work.call).modules)
            self._clean()
            ended = self._must(work.call)  # once more: now as those that are killed
            self._known[work.name] = Undisturbed(result(self.out), ended.seconds, ended.operations)
        return self._known[work.name]

    def _begin(self, work: Work | None) -> None:
        """With an empty folder, or the work's older result."""
        self._clean()
        if work is None or work.before is None:
            return
        kept = self.place / "older" / work.name
        if work.name not in self._older:
            self._must(work.before)
            shutil.copytree(self.out, kept)
            self._older.add(work.name)
        else:
            shutil.copytree(kept, self.out)

    def kill(self, number: int, work: Work) -> Killed:
        """Kill a work, restart it, and look at the result."""
        rng, whole, started = random.Random(f"{self.seed} {number}"), self.undisturbed(work), time.perf_counter()
        clock, older = rng.choice(CLOCKS), work.before is not None and rng.random() < OLDER
        inputs, phases = _state(self.inputs), []
        for _ in range(TRIES):
            self._begin(work if older else None)
            at_first = _state(self.out)
            if self._run(work.call, _moment(rng, clock, whole)).code is None:
                phases.append(self._phase(at_first, whole))
                break
        while phases and rng.random() < AGAIN:
            if self._run(work.call, _moment(rng, clock, whole)).code is None:
                phases.append(self._phase(at_first, whole))
        ended = self._run(work.call)
        wrong = [] if phases else ["was done before any moment came"]
        wrong += [] if ended.code == 0 else [f"exit code {ended.code}: {self._last_words()}"]
        wrong += differences(whole.result, result(self.out))
        wrong += [f"{name}: is left half-written" for name in _half_written(self.place / "run" / "cache")]
        wrong += ["the inputs changed"] if _state(self.inputs) != inputs else []
        seconds = round(time.perf_counter() - started, 2)
        return Killed(number, work.name, clock, older, tuple(phases), seconds, tuple(wrong))

    def _phase(self, at_first: Mapping[str, Any], whole: Undisturbed) -> str:
        if _half_written(self.out):
            return WRITING
        if _state(self.out) == at_first:
            return BEFORE
        found = result(self.out)
        return AFTER if all(found.get(name) == content for name, content in whole.result.items()) else BETWEEN

    def _last_words(self) -> str:
        return " / ".join(self.said.read_text(errors="replace").strip().splitlines()[-12:])[-1500:]


_PLACES = {"MEDEDIT_CACHE": "cache", "TMPDIR": "temporary"}


def _moment(rng: random.Random, clock: str, whole: Undisturbed) -> Moment:
    if clock == OPERATIONS:
        return Moment(clock, rng.randint(1, whole.operations))
    return Moment(SECONDS, rng.uniform(0, whole.seconds))


def _import(names: Iterable[str]) -> None:
    for name in names:
        if name not in sys.modules and name.split(".")[0] != "__main__":
            with suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else every fork would copy what it only counts


def _half_written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if "unfinished" in path.name)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What is missing, too much or other, a line each."""
    lines = [f"{name}: is missing" for name in wanted if name not in found]
    lines += [f"{name}: is too much" for name in found if name not in wanted]
    return lines + [f"{name}: is other" for name in wanted if name in found and found[name] != wanted[name]]


def kill_all(numbers: Sequence[int], output: Path, seed: int = 0, progress: bool = True) -> dict[str, Any]:
    """
    Kill and restart, or go on with the numbers that an earlier run did not come to.

    Args:
        numbers: of the kills; number k is of the k-th work, counted in circles.
        output: folder of the two files.
        progress: bar on stderr.

    Returns:
        what ``kill.json`` holds.

    Raises:
        InputError: a folder that holds the kills of another seed, or files that are not ours.
    """
    from tqdm import tqdm

    from mededit_monai.io.atomic import json_bytes
    from mededit_monai.io.held import held_folder
    from mededit_monai.io.provenance import versions

    tqdm.monitor_interval = 0  # its thread could hold a lock in the moment of a fork
    with held_folder(output, FILES) as folder, tempfile.TemporaryDirectory(prefix="kill_") as made:
        place = Path(made).resolve()
        facts = _started(output / "kill.json", {"seed": seed, "versions": versions()})
        done = {one["number"] for one in facts["kills"]}
        todo = [number for number in numbers if number not in done]
        killer, all_works = Killer(place, place / "inputs", seed), works(place / "inputs")
        if todo:
            killer._clean()
            killer._must(lambda _: write_inputs(place / "inputs"))
        with tqdm(total=len(numbers), initial=len(numbers) - len(todo), desc="killing", disable=not progress) as bar:
            for number in todo:
                work = all_works[number % len(all_works)]
                facts["kills"].append(asdict(killer.kill(number, work)))
                whole = killer.undisturbed(work)
                facts["undisturbed"][work.name] = {"seconds": whole.seconds, "operations": whole.operations}
                folder.write({"kill.json": json_bytes(facts), "kill.md": markdown(facts).encode()})
                bar.set_postfix(found=sum(bool(one["wrong"]) for one in facts["kills"]), refresh=False)
                bar.update()
    return facts


def _started(place: Path, new: Mapping[str, Any]) -> dict[str, Any]:
    """What was done before."""
    from mededit_monai.core.errors import InputError

    if not place.is_file():
        return {**new, "undisturbed": {}, "kills": []}
    found: dict[str, Any] = json.loads(place.read_bytes())
    for name, value in new.items():
        if found.get(name) != value:
            raise InputError(f"{place}: has {name} {found.get(name)}, now {value}; choose another folder with -o.")
    return found


def markdown(facts: Mapping[str, Any]) -> str:
    """What became of the restarts, for people."""
    from mededit_monai.reports.plain_text import markdown_table

    kills = facts["kills"]
    wrong = [one for one in kills if one["wrong"]]
    heads = ["killed", "times", *PHASES, "restarts killed too", "over an older result", "ended with the same result"]
    rows = []
    for name in dict.fromkeys(one["work"] for one in kills):
        own = [one for one in kills if one["work"] == name]
        phases = Counter(phase for one in own for phase in one["phases"])
        again = sum(max(0, len(one["phases"]) - 1) for one in own)
        same = sum(not one["wrong"] for one in own)
        cells = [len(own), *(phases[phase] for phase in PHASES), again, sum(one["older"] for one in own), same]
        rows.append([name, *map(str, cells)])
    clocks = Counter(one["clock"] for one in kills)
    ignored = "; ".join(f"`{name}`: {', '.join(sorted(keys))}" for name, keys in TIMES.items())
    return "\n".join(
        [
            "# Kill suite",
            "",
            f"    python -m studies.kill --count {len(kills)} --seed {facts['seed']}",
            "",
            f"{len(kills)} runs were killed by SIGKILL and restarted with the same command: {clocks[SECONDS]} by the "
            f"time that they had computed, {clocks[OPERATIONS]} right before a change of the file system. "
            f"{len(kills) - len(wrong)} ended with the same result, {len(wrong)} did not.",
            "",
            *markdown_table(heads, rows),
            "",
            *(
                f"{name[0].upper()}{name[1:]}, undisturbed, computes for {one['seconds']:.1f} s and changes the file "
                f"system {one['operations']} times."
                for name, one in facts["undisturbed"].items()
            ),
            "",
            f"The same result: the same files with the same bytes, but for what tells of time ({ignored}) and "
            f"logs named by it (`{LOGS}…`).",
            "",
            *(f"- {one['number']} ({one['work']}): {'; '.join(one['wrong'][:5])}" for one in wrong[:100]),
            "",
        ]
    )


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    from mededit_monai.core.errors import exit_on_bad_input, require_whole
    from mededit_monai.core.paths import user_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="kills (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--only", type=int, metavar="N", help="the kill of this number alone")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=True, help="a bar on stderr")
    parser.add_argument("-o", "--output_dir", default="out/kill", help="folder of kill.json and kill.md")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        require_whole("count", given.count, 1)
        require_whole("seed", given.seed, 0)
        require_whole("only", given.only, 0, optional=True)
        output = user_path(given.output_dir)
        numbers = range(given.count) if given.only is None else [given.only]
        facts = kill_all(numbers, output, given.seed, given.progress)
    wrong = [one for one in facts["kills"] if one["wrong"]]
    print(f"{output / 'kill.md'}: {len(facts['kills'])} kills, {len(wrong)} ended otherwise")
    for one in wrong:
        print(f"{one['number']} ({one['work']}, {', '.join(one['phases'])}): {'; '.join(one['wrong'])}")
    return 1 if wrong else 0


def _start_anew_with_one_thread() -> None:
    """A fork does not inherit the threads of its parent, and how many there are is read when libraries are imported."""
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"MPLBACKEND": "Agg"}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | wanted)


if __name__ == "__main__":
    _start_anew_with_one_thread()
    from mededit_monai.core.program import run_program

    run_program(lambda: sys.exit(main()))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Do the tests bite? Put one mistake at a time into a copy of the tree and see whether a test fails.

    python -m studies.mutants                      # all of studies/mistakes
    python -m studies.mutants --only 'space/*'     # those whose name matches
    make mutants

Every entry of the lists names a file, a text that stands in it exactly once, what to put in its place, and the tests
that have to notice. Exit code 1 if a mistake passes its tests, if a text is not found (the code was changed: change
the entry, or take it out), or if a mistake breaks the import, which any test would notice.

The working tree is never touched: tracked and untracked files are copied, ignored ones are not.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from mededit_monai.core.errors import exit_on_bad_input
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.outputs import require_writable, write_output

REPOSITORY = Path(__file__).resolve().parents[1]
LISTS = Path(__file__).with_name("mistakes")
WORKER = Path(__file__).with_name("mutants_worker.py")

#: Seconds after which the tests of a mistake count as failed: it may make a loop endless.
LIMIT = 300

#: What becomes of a mistake, and whether that is good.
KILLED, ENDLESS, SURVIVED, LOST, BROKEN = "killed", "killed (endless)", "SURVIVED", "TEXT NOT FOUND", "BROKEN"


@dataclass(frozen=True)
class Mutant:
    """
    A mistake.

    Args:
        name: room and what is wrong, such as ``space/blend``.
        file: relative to the repository.
        text: stands in the file exactly once; instead: takes its place.
        tests: files or test ids that have to notice.
        why: what a patient, a reader or a training would suffer.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]
    why: str

    def times(self, tree: Path) -> int:
        """How often the text stands in the file of a tree; 0 if there is no such file."""
        place = tree / self.file
        return place.read_text(encoding="utf-8").count(self.text) if place.is_file() else 0


@dataclass(frozen=True)
class Outcome:
    """``what`` became of the mutant ``name``, ``by`` which test, in ``seconds``."""

    name: str
    what: str
    by: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether a test noticed."""
        return self.what in (KILLED, ENDLESS)


def read_mutants(folder: Path = LISTS) -> list[Mutant]:
    """
    The mistakes of all lists in a folder.

    Raises:
        ValueError: two entries of one name, or one with a field too few or too many.
    """
    found: list[Mutant] = []
    for place in sorted(folder.glob("*.yaml")):
        for entry in yaml.safe_load(place.read_text(encoding="utf-8")):
            try:
                found.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
            except (TypeError, KeyError) as error:
                raise ValueError(f"{place}: {entry.get('name', entry)}: {error}") from error
    names = [mutant.name for mutant in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{folder}: names twice: {', '.join(sorted(twice))}.")
    return found


def copy_tree(target: Path) -> None:
    """Copy the files that git knows or would add; links stay links."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, place = REPOSITORY / name, target / name
        if source.is_symlink() or source.is_file():  # a file that was deleted is listed until that is committed
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)


class Copy:
    """
    A copy of the tree in which one mistake at a time is made.

    Args:
        folder: empty, of this copy alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._output = folder / "tree", folder / "pytest.txt"
        copy_tree(self.folder)
        cache = {"MEDEDIT_CACHE": str(folder / "cache"), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        self._worker = subprocess.Popen(
            [sys.executable, str(WORKER)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"} | cache,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._saved = time.time()

    def close(self) -> None:
        """End the process that runs the tests."""
        self._worker.communicate()

    def test(self, tests: Sequence[str], limit: float | None = None) -> tuple[int | str, str]:
        """
        Exit code of pytest, or ``endless``; and the first test that failed, or pytest's last line.

        Raises:
            RuntimeError: the tests were not the copy's, or there is nobody to run them.
        """
        assert self._worker.stdin and self._worker.stdout
        print(json.dumps({"tests": tests, "output": str(self._output), "limit": limit}), file=self._worker.stdin)
        self._worker.stdin.flush()
        code = self._worker.stdout.readline().strip()
        if code in ("", "stranger"):
            raise RuntimeError("an installed package was tested in the place of the copy" if code else "no worker")
        said = self._output.read_text(encoding="utf-8")
        failed = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", said, re.MULTILINE)
        lines = said.strip().splitlines()
        return code if code == "endless" else int(code), failed[1] if failed else lines[-1] if lines else ""

    def try_out(self, mutant: Mutant) -> Outcome:
        """Make the mistake, run its tests, and undo it."""
        if mutant.times(self.folder) != 1:
            return Outcome(mutant.name, LOST, f"{mutant.times(self.folder)} times in {mutant.file}", 0.0)
        place, started = self.folder / mutant.file, time.perf_counter()
        before = place.read_text(encoding="utf-8")
        self._save(place, before.replace(mutant.text, mutant.instead))
        code, by = self.test(mutant.tests, LIMIT)
        self._save(place, before)
        what = {0: SURVIVED, 1: KILLED, "endless": ENDLESS}.get(code, BROKEN)
        return Outcome(mutant.name, what, "" if what == SURVIVED else by, round(time.perf_counter() - started, 1))

    def _save(self, place: Path, content: str) -> None:
        """Python takes compiled code for that of a file of the same second and size, so every save has its own."""
        place.write_text(content, encoding="utf-8")
        self._saved += 2
        os.utime(place, (self._saved, self._saved))


def try_all(mutants: Sequence[Mutant], jobs: int, progress: bool) -> list[Outcome]:
    """
    Try mutants out, a few at a time, each in a copy of its own.

    Raises:
        RuntimeError: tests that fail without any mistake.
    """
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    done: dict[str, Outcome] = {}
    faults: list[Exception] = []

    def work(copy: Copy) -> None:
        try:
            while not faults:
                outcome = copy.try_out(waiting.get_nowait())
                done[outcome.name] = outcome
                if progress:
                    print(f"[{len(done)}/{len(mutants)}] {line(outcome)}", flush=True)
        except queue.Empty:
            pass
        except Exception as error:  # of a thread, which would end in silence
            faults.append(error)

    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        copies = [Copy(Path(folder).resolve() / str(k)) for k in range(min(jobs, len(mutants)))]
        try:
            code, by = copies[0].test(sorted({test for mutant in mutants for test in mutant.tests}))
            if code:
                raise RuntimeError(f"without any mistake: {by}")
            threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for copy in copies:
                copy.close()
    if faults:
        raise faults[0]
    return [done[mutant.name] for mutant in mutants]


def line(outcome: Outcome) -> str:
    """An outcome in one line."""
    return f"{outcome.what:<17}{outcome.seconds:6.1f} s  {outcome.name}  {outcome.by}".rstrip()


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", default="*", help="of names, such as 'space/*' (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time, on one core each (default: 1)")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=True, help="a line a mutant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there, too")
    parser.add_argument("--overwrite", action="store_true", help="replace a --json that this program wrote")
    given = parser.parse_args()
    mutants = [mutant for mutant in read_mutants() if fnmatchcase(mutant.name, given.only)]
    if not mutants:
        parser.error(f"--only: no mutant's name matches {given.only!r}")
    if given.jobs < 1:
        parser.error(f"--jobs: got {given.jobs}, wanted at least 1")
    if given.json:
        with exit_on_bad_input():
            require_writable(given.json, given.overwrite)
    try:
        outcomes = try_all(mutants, given.jobs, given.progress)
    except RuntimeError as error:
        parser.exit(2, f"mutants: {error}\n")
    if given.json:
        write_output(given.json, json_bytes([asdict(outcome) for outcome in outcomes]), overwrite=True)
    bad = [outcome for outcome in outcomes if not outcome.good]
    print(f"{len(outcomes) - len(bad)} of {len(outcomes)} mutants killed.")
    why = {mutant.name: mutant.why for mutant in mutants}
    for outcome in bad:
        print(f"{line(outcome)}\n    {why[outcome.name]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Edit thousands of generated scans, good and faulty ones, and count whatever breaks a promise.

    python -m studies.fuzz --count 10000 -o out/fuzz
    python -m studies.fuzz --case 4711 -o out/fuzz       # a case of them alone; its files stay in out/fuzz/case_04711

Writes ``fuzz.json`` and ``fuzz.md``: the cases by property and by fault, and what was found. Run again it goes on where
it stopped. Exit code 1 if anything was found: a fault of the program (a traceback), a file that is half written, one
outside the output folder that changed, or a result that is not as promised (grid, type, slope, voxels outside the
region, the sentence of a refusal).

A case depends on ``--seed`` and its number alone. A hundred share a run of the editor, as those of a datalist do.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import versions
from mededit_monai.reports.plain_text import markdown_table
from studies.fuzz_check import EDITED, KINDS, Broken, Seen, run_cases
from studies.fuzz_heads import FAULTS, Spec, spec_of

FILES = ("fuzz.json", "fuzz.md")

#: Cases of a run of the editor; every so many runs previews are drawn, which takes three quarters of the time there.
A_RUN, PICTURED = 100, 5

#: A property of more values than these is told of in a line.
MOST_VALUES = 20


def properties(spec: Spec) -> dict[str, str]:
    """A case's properties that are counted."""
    slices = next(
        text for most, text in ((1, "1"), (3, "2 or 3"), (12, "4 to 12"), (24, "13 to 24")) if spec.shape[2] <= most
    )
    return {
        "orientation": spec.orientation,
        "data type": spec.dtype,
        "byte order": "big-endian" if spec.big_endian else "little-endian",
        "slope": f"{spec.slope:g}",
        "stored for 0": str(spec.zero),
        "sform and qform": spec.forms,
        "degrees about z": f"{spec.oblique:g}",
        **{f"voxel along {axis}, mm": f"{size:g}" for axis, size in zip("xyz", spec.spacing)},
        "slices": slices,
        "container": spec.container,
        "brain mask": "none: stripped" if spec.stripped else "given",
        "lesion mask": spec.mask_kind,
        "file name": spec.name if len(spec.name) < 40 else f"{spec.name[0]} × {len(spec.name)}",
    }


def counted(before: Mapping[str, Any], specs: Mapping[int, Spec], seen: Seen, seconds: float) -> dict[str, Any]:
    """The facts of ``fuzz.json`` with those of another run added; specs: its cases by number."""
    outcomes = Counter(before["outcomes"]) + seen.counts
    table = {
        name: {value: dict(cell) for value, cell in values.items()} for name, values in before["properties"].items()
    }
    for number, spec in specs.items():
        for name, value in properties(spec).items():
            cell = table.setdefault(name, {}).setdefault(value, {"cases": 0, "edited": 0})
            cell["cases"] += 1
            cell["edited"] += seen.outcomes[number].startswith(EDITED)
    return {
        **before,
        "cases": before["cases"] + len(specs),
        "valid": before["valid"] + sum(spec.fault is None for spec in specs.values()),
        "seconds": round(before["seconds"] + seconds, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "properties": table,
        "broken": [*before["broken"], *(asdict(one) for one in seen.broken)],
    }


def fuzz(count: int, output: Path, seed: int = 0, progress: bool = True, a_run: int = A_RUN) -> dict[str, Any]:
    """
    Edit ``count`` cases, or those of them that an earlier run did not come to.

    Args:
        output: folder of the two files.
        seed: of the first case; that of number k is ``seed + k``.
        progress: bar on stderr.
        a_run: cases in a run of the editor.

    Returns:
        what ``fuzz.json`` holds.

    Raises:
        InputError: a folder that holds the cases of another seed, or files that are not ours.
    """
    with held_folder(output, FILES) as folder:
        facts = _started(folder, seed)
        with tqdm(total=count, initial=min(facts["cases"], count), desc="editing", disable=not progress) as bar:
            while facts["cases"] < count:
                first = facts["cases"]
                specs = {number: spec_of(seed + number) for number in range(first, min(first + a_run, count))}
                started = time.perf_counter()
                with tempfile.TemporaryDirectory(prefix="fuzz_") as place:
                    pictures = first // a_run % PICTURED == 0
                    seen = run_cases(list(specs.values()), Path(place).resolve(), pictures, first)
                facts = counted(facts, specs, seen, time.perf_counter() - started)
                folder.write({"fuzz.json": json_bytes(facts), "fuzz.md": markdown(facts).encode()})
                bar.set_postfix(found=len(facts["broken"]), refresh=False)
                bar.update(len(specs))
    return facts


def _started(folder: OutputFolder, seed: int) -> dict[str, Any]:
    """What was found before."""
    place = folder.path / "fuzz.json"
    new = {"seed": seed, "versions": versions()}
    if not place.is_file():
        return {**new, "cases": 0, "valid": 0, "seconds": 0.0, "outcomes": {}, "properties": {}, "broken": []}
    found: dict[str, Any] = json.loads(place.read_bytes())
    for name, value in new.items():
        if found.get(name) != value:
            raise InputError(f"{place}: has {name} {found.get(name)}, now {value}; choose another folder with -o.")
    return found


def one_case(number: int, seed: int, output: Path) -> list[Broken]:
    """
    Edit a case alone; its files stay in ``case_NUMBER``.

    Raises:
        InputError: the folder is there already.
    """
    place = output / f"case_{number:05d}"
    if place.exists():
        raise InputError(f"{place}: is there already; remove it, or choose another folder with -o.")
    place.mkdir(parents=True)
    seen = run_cases([spec_of(seed + number)], place.resolve(), first=number)
    print(f"{place}: {seen.outcomes[number]}")
    return seen.broken


def markdown(facts: Mapping[str, Any]) -> str:
    """What was found, for people."""
    kinds = Counter(one["kind"] for one in facts["broken"])
    edited = sum(count for outcome, count in facts["outcomes"].items() if outcome.startswith(EDITED))
    lines = ["# Fuzz suite", "", f"    python -m studies.fuzz --count {facts['cases']} --seed {facts['seed']}", ""]
    lines += [
        f"{facts['cases']} generated cases (scan, brain mask, lesion mask), {facts['valid']} of them without a fault: "
        f"{edited} were edited, {facts['cases'] - edited} refused, in {facts['seconds'] / 60:.0f} minutes "
        f"({facts['seconds'] / max(1, facts['cases']):.2f} s a case).",
        "",
        *markdown_table(["found", "times"], [[kind, str(kinds[kind])] for kind in KINDS]),
        "",
    ]
    lines += [f"- {_named(one)}{one['kind']}: {one['what']}" for one in facts["broken"][:100]]
    lines += ["", "## By fault", "", *markdown_table(["what is wrong", "cases", "refused", "edited"], _by_fault(facts))]
    lines += ["", "Flipped bytes may meet nothing that matters; then the case is edited, as promised of any.", ""]
    lines += ["## By property", "", *markdown_table(["property", "value", "cases", "edited"], _by_property(facts)), ""]
    return "\n".join(lines)


def _named(one: Mapping[str, Any]) -> str:
    return "" if one["case"] is None else f"case {one['case']}: "


def _by_fault(facts: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for fault in ("", *sorted(FAULTS)):
        refused = facts["outcomes"].get(f"refused: {fault}" if fault else "refused", 0)
        edited = facts["outcomes"].get(f"edited in spite of: {fault}" if fault else EDITED, 0)
        rows.append([fault or "nothing", *map(str, (refused + edited, refused, edited))])
    return rows


def _by_property(facts: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, values in facts["properties"].items():
        if len(values) > MOST_VALUES:
            spans = [sorted(cell[key] for cell in values.values()) for key in ("cases", "edited")]
            rows.append([name, f"{len(values)} values, each", *(f"{span[0]} to {span[-1]}" for span in spans)])
        else:
            cells = sorted(values.items())
            rows += [[name, value, str(cell["cases"]), str(cell["edited"])] for value, cell in cells]
    return rows


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="cases (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case (default: 0)")
    parser.add_argument("--case", type=int, metavar="N", help="edit the case of this number alone, and keep its files")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=True, help="a bar on stderr")
    parser.add_argument("-o", "--output_dir", default="out/fuzz", help="folder of fuzz.json and fuzz.md")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        require_whole("count", given.count, 1)
        require_whole("seed", given.seed, 0)
        output = user_path(given.output_dir)
        if given.case is not None:
            require_whole("case", given.case, 0)
            broken = one_case(given.case, given.seed, output)
        else:
            facts = fuzz(given.count, output, given.seed, given.progress)
            broken = [Broken(**one) for one in facts["broken"]]
            print(f"{output / 'fuzz.md'}: {facts['cases']} cases, {len(broken)} findings")
    for one in broken:
        print(f"{_named(asdict(one))}{one.kind}: {one.what}")
    return 1 if broken else 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

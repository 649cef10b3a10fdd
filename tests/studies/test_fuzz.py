# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Generated scans: the good are edited as promised, the faulty refused in a sentence; and what is not so is found."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from studies import fuzz, fuzz_check
from studies.fuzz_check import EDITED, OUTSIDE, PARTIAL, PROMISE, TRACEBACK, run_cases
from studies.fuzz_heads import FAULTS, spec_of

#: In the slow suite; MEDEDIT_FUZZ gives another number.
MANY = int(os.environ.get("MEDEDIT_FUZZ", 10_000))


def test_a_hundred(tmp_path):
    seen = run_cases([spec_of(seed) for seed in range(100)], tmp_path, pictures=False)
    assert seen.broken == []
    assert seen.counts[EDITED] >= 50 and seen.counts.total() == 100
    assert len({outcome for outcome in seen.counts if outcome.startswith("refused")}) >= 6


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many(tmp_path):
    facts = fuzz.fuzz(MANY, tmp_path / "out", progress=False)
    assert facts["broken"] == [] and facts["cases"] == MANY
    assert facts["outcomes"][EDITED] >= MANY / 2 and {f"refused: {fault}" for fault in FAULTS} <= set(facts["outcomes"])


def saved(folder: Path, names: list[str], failed: dict[str, str]) -> None:
    """What an edit would leave, as far as it is looked for."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "edited.nii.gz").write_bytes(b"")
    folder.mkdir(exist_ok=True)
    (folder / "failed.json").write_text(json.dumps([{"case_id": k, "failed": v} for k, v in failed.items()]))


FAULT = "a fault of the program (KeyError: 'x'); please report it with fault.txt"

#: What an editor does wrong with one case, or two → kind of what is found, and in which case.
WRONG = {
    "raises": (TRACEBACK, None),
    "tells of a fault": (TRACEBACK, 0),
    "keeps a fault": (TRACEBACK, None),
    "prints a traceback": (TRACEBACK, None),
    "leaves half a folder": (PARTIAL, 0),
    "leaves half a file": (PARTIAL, 0),
    "changes an input": (OUTSIDE, 0),
    "writes beside": (OUTSIDE, None),
    "forgets a case": (PROMISE, 0),
    "refuses a good case": (PROMISE, 0),
}


def faulty_edit(what: str):
    """An editor that refuses all that it is given, and does something wrong."""

    def edit(datalist: Path, output_dir: Path, **options) -> None:
        cases = json.loads(datalist.read_bytes())["testing"]
        first, sentence = cases[0]["case_id"], "is empty"
        if what in ("tells of a fault", "refuses a good case"):
            sentence = FAULT if what == "tells of a fault" else "I do not like it."
        saved(output_dir, [], {} if what == "forgets a case" else {first: sentence})
        if what == "raises":
            raise KeyError("of ours")
        if what == "keeps a fault":
            place = Path(os.environ["MEDEDIT_CACHE"], "faults", "fault.txt")
            place.parent.mkdir(parents=True)
            place.write_text("Traceback")
        elif what == "prints a traceback":
            print("Traceback (most recent call last):", file=sys.stderr)
        elif what == "leaves half a folder":
            (output_dir / f".{first}.0123abcd.unfinished").mkdir()
        elif what == "leaves half a file":
            (output_dir / first).mkdir()
            (output_dir / first / ".0123abcd.unfinished.mean.nii.gz").write_bytes(b"half")
        elif what == "changes an input":
            Path(cases[0]["pathology"]).write_bytes(b"other")
        elif what == "writes beside":
            Path("core").write_bytes(b"")  # in the current folder

    return edit


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(tmp_path, monkeypatch, what):
    wanted = None if what == "refuses a good case" else "mask empty"
    spec = next(spec for spec in map(spec_of, range(1000)) if spec.fault == wanted)
    monkeypatch.setattr(fuzz_check, "edit", faulty_edit(what))
    here = os.getcwd()
    seen = run_cases([spec], tmp_path)
    assert [(one.kind, one.case) for one in seen.broken] == [WRONG[what]] and os.getcwd() == here


def test_nothing_is_found_where_nothing_is_wrong(tmp_path, monkeypatch):
    spec = next(spec for spec in map(spec_of, range(1000)) if spec.fault == "mask empty")
    monkeypatch.setattr(fuzz_check, "edit", faulty_edit("nothing"))
    seen = run_cases([spec], tmp_path, first=7)
    assert seen.broken == [] and seen.outcomes == {7: "refused: mask empty"}


def few(monkeypatch, broken: bool = False) -> list[list[str]]:
    """Editors that take no time; the numbers of the cases of every run."""
    runs = []

    def quick(cases, place, pictures=True, first=0):
        numbers = range(first, first + len(cases))
        runs.append(list(numbers))
        seen = fuzz_check.Seen(
            {k: EDITED if one.fault is None else f"refused: {one.fault}" for k, one in zip(numbers, cases)}
        )
        seen.broken += [fuzz_check.Broken(TRACEBACK, "of ours", 4)] if broken and 4 in numbers else []
        return seen

    monkeypatch.setattr(fuzz, "run_cases", quick)
    return runs


def test_a_run_goes_on_and_counts_all(tmp_path, monkeypatch):
    runs = few(monkeypatch)
    whole = fuzz.fuzz(7, tmp_path / "whole", progress=False, a_run=3)
    assert runs == [[0, 1, 2], [3, 4, 5], [6]]
    runs.clear()
    fuzz.fuzz(3, tmp_path / "out", progress=False, a_run=3)
    parts = fuzz.fuzz(7, tmp_path / "out", progress=False, a_run=3)
    assert runs == [[0, 1, 2], [3, 4, 5], [6]]
    assert (
        {**parts, "seconds": 0}
        == {**whole, "seconds": 0}
        == {**fuzz.fuzz(7, tmp_path / "out", progress=False), "seconds": 0}
    )
    assert json.loads((tmp_path / "out" / "fuzz.json").read_bytes()) == parts
    faults = [spec_of(k).fault for k in range(7)]
    assert parts["valid"] == faults.count(None) == parts["outcomes"][EDITED] and 0 < parts["valid"] < 7
    for values in parts["properties"].values():
        assert sum(cell["cases"] for cell in values.values()) == 7
        assert sum(cell["edited"] for cell in values.values()) == parts["valid"]
    kinds = {spec_of(k).dtype for k in range(7)}
    assert set(parts["properties"]["data type"]) == kinds
    with pytest.raises(InputError, match="has seed 0, now 1"):
        fuzz.fuzz(7, tmp_path / "out", seed=1, progress=False)


def test_the_program_ends_with_1_and_says_which_case(tmp_path, monkeypatch, capsys):
    few(monkeypatch, broken=True)
    words = ["--count", "6", "--no-progress", "-o", str(tmp_path / "out")]
    assert fuzz.main(words) == 1
    assert "case 4: traceback: of ours" in capsys.readouterr().out
    text = (tmp_path / "out" / "fuzz.md").read_text()
    assert "- case 4: traceback: of ours" in text and "| traceback | 1 |" in text
    assert fuzz.main([*words, "--case", "5"]) == 0 and fuzz.main([*words, "--case", "4"]) == 1
    with pytest.raises(SystemExit) as ended:
        fuzz.main([*words, "--case", "5"])
    assert ended.value.code == 2 and "case_00005: is there already" in capsys.readouterr().err

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Works that are killed and restarted: one that goes on as it should, and those that do not, which are found."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import remove_unfinished, write_bytes
from studies import kill
from studies.kill import AFTER, BEFORE, BETWEEN, WRITING, Killer, differences, kill_all
from studies.kill_process import OPERATIONS, SECONDS, Moment, run
from studies.kill_works import Work, result

NAMES = [f"{k}.txt" for k in range(5)]

#: What a restart does wrong, and what is found then.
WRONG = {
    "writes in place": "is other",
    "leaves what was half-written": "is too much",
    "notes what it has not done": "is missing",
    "is never the same": "is other",
    "does not start again": "exit code 2",
    "changes an input": "the inputs changed",
    "litters its cache": "is left half-written",
}


def compute(seconds: float = 0.002) -> None:
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass


def toy(inputs: Path, wrong: str | None = None) -> Work:
    """A work that writes five files, and goes on with those that are missing."""

    def call(out: Path) -> int:
        again = out.is_dir()
        out.mkdir(exist_ok=True)
        if again and wrong == "does not start again":
            return 2
        if again and wrong == "changes an input":
            (inputs / "scan").write_bytes(b"other scan")
        if wrong == "litters its cache":
            Path(os.environ["MEDEDIT_CACHE"], ".0123abcd.unfinished.atlas").write_bytes(b"half")
        if wrong != "leaves what was half-written":
            remove_unfinished(out)
        for name in NAMES:
            if not (out / name).is_file():
                compute()
                content = os.urandom(8) if wrong == "is never the same" else name.encode() * 9
                write_one(out, name, content)
        return 0

    def write_one(out: Path, name: str, content: bytes) -> None:
        noted = out / f".{name}"
        if wrong == "notes what it has not done":
            if not noted.is_file():
                noted.write_bytes(b"")
                write_bytes(out / name, content)
        elif wrong == "writes in place":
            with open(out / name, "wb", buffering=0) as stream:
                stream.write(content[:3])
                compute(0.05)  # far longer than all else, so that a kill by seconds hits here on a busy machine, too
                stream.write(content[3:])
        else:
            write_bytes(out / name, content)

    def older(out: Path) -> int:
        out.mkdir()
        write_bytes(out / NAMES[0], NAMES[0].encode() * 9)
        return 0

    return Work("toy", call, older)


@pytest.fixture()
def killer(tmp_path) -> Killer:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "scan").write_bytes(b"scan")
    return Killer(tmp_path / "place", tmp_path / "inputs", seed=0)


@pytest.mark.slow
def test_what_goes_on_as_it_should_is_found_the_same(killer):
    work = toy(killer.inputs)
    found = [killer.kill(number, work) for number in range(16)]
    assert [one.wrong for one in found] == [()] * 16
    assert {phase for one in found for phase in one.phases} >= {BEFORE, WRITING, BETWEEN}
    assert {one.clock for one in found} == {SECONDS, OPERATIONS} and {one.older for one in found} == {True, False}
    assert any(len(one.phases) > 1 for one in found)  # a restart was killed too
    again = [killer.kill(number, work) for number in range(16) if found[number].clock == OPERATIONS]
    same = [(one.phases, one.older) for one in found if one.clock == OPERATIONS]
    assert [(one.phases, one.older) for one in again] == same  # a number is the same kill whenever it is made


@pytest.mark.one_in(4)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found(killer, wrong):
    work = toy(killer.inputs, wrong)
    for number in range(30):
        if lines := killer.kill(number, work).wrong:
            assert WRONG[wrong] in " ".join(lines)
            return
    raise AssertionError("nothing was found")


def test_a_moment(tmp_path):
    """Before the n-th change of the folder: what was there before it is there, and nothing of it."""

    def work() -> int:
        for name in NAMES:
            (tmp_path / "elsewhere.txt").write_bytes(b"")
            (tmp_path / "out" / name).write_bytes(b"")
        return 3

    (tmp_path / "out").mkdir()
    whole = run(work, tmp_path / "out", tmp_path / "said")
    assert whole.code == 3 and whole.operations == 5 and "json" in whole.modules
    for name in NAMES:
        (tmp_path / "out" / name).unlink()
    assert run(work, tmp_path / "out", tmp_path / "said", Moment(OPERATIONS, 4)).code is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == NAMES[:3]
    ended = run(lambda: compute(60), tmp_path / "out", tmp_path / "said", Moment(SECONDS, 0.01))
    assert ended.code is None and 0.01 <= ended.seconds < 5
    assert run(lambda: 1 / 0, tmp_path / "out", tmp_path / "said").code == 70
    assert "ZeroDivisionError" in (tmp_path / "said").read_text()


def test_a_process_that_never_ends_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="did not end within 0 s"):
        run(lambda: time.sleep(60), tmp_path, tmp_path.with_suffix(".said"), limit=0.05)


def save(folder: Path, seconds: float, figure: float) -> None:
    """A file of every kind that tells of times, and a figure that does not."""
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"seed": figure, "of": [{"seconds": seconds}]}))
    (folder / "history.csv").write_text(f"epoch,seconds,loss\n1,{seconds},{figure}\n")
    (folder / "summary.csv").write_text(f"case_id,status,seconds,lesion_ml\na,{'done' * int(seconds)},1,{figure}\n")
    (folder / "table.md").write_text(
        f"# T\n\n| row | dice | seconds |\n|---|---|---|\n| a | {figure} | {seconds} |\n\nn\n"
    )
    status = "done" if seconds < 2 else "done before"
    page = f'<td class="text ">{status}</td>\n<td>{figure}</td>\n<td>0</td><td>{seconds:.1f}</td>\n<td class="text">'
    (folder / "summary.html").write_text(page)
    np.savez_compressed(folder / "a.npz", edit=np.full(3, figure), seconds=seconds)
    listed = {"provenance.json": str(seconds), "image.nii": str(figure)}
    (folder / ".mededit.json").write_text(json.dumps({"program": "mededit_monai", "files": listed}))


def test_times_may_differ_and_nothing_else(tmp_path):
    for name, seconds, figure in (("one", 1.0, 5.0), ("two", 2.0, 5.0), ("three", 1.0, 6.0)):
        save(tmp_path / name, seconds, figure)
    one, two, three = (result(tmp_path / name) for name in ("one", "two", "three"))
    assert len(one) == 7 and differences(one, two) == []
    (tmp_path / "two" / "events.out.tfevents.17.host.4.0").write_bytes(b"log")
    assert differences(one, result(tmp_path / "two")) == []
    assert sorted(differences(one, three)) == sorted(f"{name}: is other" for name in one)
    (tmp_path / "two" / "provenance.json").write_text("{")
    assert differences(one, result(tmp_path / "two")) == ["provenance.json: is other"]
    assert differences({"a": 1}, {"b": 1}) == ["a: is missing", "b: is too much"]


def test_a_run_goes_on_and_ends_with_1_if_anything_was_found(tmp_path, monkeypatch, capsys):
    made = []

    def kills(self, number, work):
        made.append(number)
        lines = ("a: is missing",) if number == 2 else ()
        return kill.Killed(number, work.name, SECONDS, False, (AFTER, BETWEEN), 1.0, lines)

    monkeypatch.setattr(Killer, "kill", kills)
    monkeypatch.setattr(kill, "write_inputs", lambda folder: folder.mkdir())
    monkeypatch.setattr(kill, "works", lambda inputs: [Work(name, lambda out: 0) for name in ("training", "editing")])
    words = ["--no-progress", "-o", str(tmp_path / "out"), "--count"]
    assert kill.main([*words, "2"]) == 0 and kill.main([*words, "4"]) == 1 and made == [0, 1, 2, 3]
    said = capsys.readouterr().out
    assert (
        "4 kills, 1 ended otherwise" in said
        and "2 (training, after the last, between two files): a: is missing" in said
    )
    text = (tmp_path / "out" / "kill.md").read_text()
    assert "| training | 2 | 0 | 0 | 2 | 2 | 2 | 0 | 1 |" in text and "3 ended with the same result, 1 did not" in text
    with pytest.raises(InputError, match="has seed 0, now 1"):
        kill_all([0], tmp_path / "out", seed=1, progress=False)


@pytest.mark.slow
def test_a_handful_of_each(tmp_path):
    facts = kill_all(range(12), tmp_path / "out", seed=1, progress=False)
    assert [(one["number"], one["wrong"]) for one in facts["kills"] if one["wrong"]] == []
    assert len({one["work"] for one in facts["kills"]}) == 4

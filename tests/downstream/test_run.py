# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The experiment as a whole at toy size: its files, that it goes on, and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from downstream.toy import write_cohort, write_edits
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.downstream import run as module
from mededit_monai.downstream.report import FILES
from mededit_monai.workflows import downstream

ROWS = ("real", "real_synthetic", "mixup")
QUICK = {"folds": 2, "seeds": 3, "iterations": 2, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("downstream")
    cohort = write_cohort(folder / "cohort", 4)
    pairs = {f"e{k}": (f"p{k}_0", f"p{k}_0") for k in range(4)}
    return cohort, write_edits(folder / "edits", cohort, pairs)


@pytest.fixture(scope="module")
def done(places, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "d"
    written = downstream(places[0], out, places[1], rows=ROWS, **QUICK)
    assert written == out / "results.json"
    return out


def test_the_files(done):
    content = json.loads((done / "results.json").read_text())
    assert {path.name for path in done.iterdir() if path.is_file()} == {*FILES, ".mededit.json"}
    assert len(list((done / "runs").iterdir())) == len(ROWS) * 2 * 3
    assert [row["row"] for row in content["rows"]] == list(ROWS)
    assert [row["published_dice"] for row in content["rows"]] == [0.6531, 0.6675, None]
    assert (content["iterations"], content["batch_size"], content["patients"]) == (2, 2, 4)
    assert [row["training_cases"] for row in content["rows"]] == [[2, 2], [4, 4], [2, 2]]
    assert content["rows"][0]["dice"]["against_real"] is None and str(done) not in (done / "results.json").read_text()
    for row in content["rows"][1:]:
        other = row["dice"]["against_real"]
        assert other["verdict"] in ("gain", "loss", "none")
        base = content["rows"][0]["dice"]["value"]
        assert other["difference"] == pytest.approx(row["dice"]["value"] - base, abs=1e-12)


def test_every_figure_follows_from_the_cases(done):
    content = json.loads((done / "results.json").read_text())
    with open(done / "cases.csv", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == len(ROWS) * 3 * 4
    for row in content["rows"]:
        own = [float(line["dice"]) for line in lines if line["row"] == row["row"]]
        assert np.mean(own) == pytest.approx(row["dice"]["value"], abs=1e-7)
    one = json.loads((done / "runs" / "mixup_fold1_seed2.json").read_text())
    for case in one["cases"]:
        (line,) = [x for x in lines if (x["row"], x["seed"], x["case_id"]) == ("mixup", "2", case["case_id"])]
        assert float(line["iou"]) == pytest.approx(case["iou"], abs=1e-7) and line["fold"] == "1"


def test_what_real_cases_teach_is_looked_for_in_synthetic_ones(done):
    content = json.loads((done / "results.json").read_text())
    found = {row["row"]: row["found_in_synthetic"] for row in content["rows"]}
    assert found["real_synthetic"] is None
    runs = [json.loads((done / "runs" / f"real_fold{f}_seed{s}.json").read_text()) for f in (0, 1) for s in range(3)]
    values = [case["dice"] for run in runs for case in run["synthetic"]]
    assert len(values) == 12 and found["real"]["n_cases"] == 4
    assert found["real"]["value"] == pytest.approx(np.mean(values), abs=1e-12)
    with open(done / "table.csv", encoding="utf-8") as stream:
        lines = {line["row"]: line for line in csv.DictReader(stream)}
    assert float(lines["mixup"]["dice_in_synthetic"]) == pytest.approx(found["mixup"]["value"], abs=1e-6)
    assert lines["real_synthetic"]["dice_in_synthetic"] == "" and lines["real_synthetic"]["n_in_synthetic"] == "0"
    assert "4 synthetic ones of patients that it has not seen" in (done / "table.md").read_text()


def test_what_people_read(done):
    text, page = (done / "table.md").read_text(), (done / "report.html").read_text()
    for said in ("same 2 steps of 2 cases", "gain: the 95 % interval", "0.6675", "arXiv 2305.18453"):
        assert said in text and said in page
    assert "Research use only" in text and "learn from synthetic images" in page and 'src="data:image/png' in page
    with open(done / "table.csv", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert lines[1]["row"] == "real_synthetic" and lines[1]["dice_minus_real_verdict"] and lines[0]["n_patients"] == "4"
    assert (done / "dice.png").stat().st_size > 5000


@pytest.mark.slow
def test_it_goes_on(done, places, monkeypatch):
    """What is there is not done again, unless it is damaged or something else was asked for."""
    calls = []
    real = module.train_and_measure

    def counted(*arguments):
        calls.append(arguments[3:6])
        return real(*arguments)

    monkeypatch.setattr(module, "train_and_measure", counted)
    before = (done / "results.json").read_bytes()
    downstream(places[0], done, places[1], rows=ROWS, **QUICK)
    assert not calls and (done / "results.json").read_bytes() == before
    (done / "runs" / "real_fold0_seed1.json").unlink()
    (done / "runs" / "mixup_fold0_seed0.json").write_text('{"cases": 3}')
    downstream(places[0], done, places[1], rows=ROWS, **QUICK)
    assert [(aug, seed) for aug, seed, _ in calls] == [(None, 1), ("mixup", 0)]
    again = json.loads((done / "results.json").read_bytes())
    rows = json.loads(before)["rows"]
    assert [row["dice"] for row in again["rows"]] == [row["dice"] for row in rows]
    calls.clear()
    downstream(places[0], done, rows=("real", "mixup"), **QUICK | {"iterations": 3})
    assert len(calls) == 12


@pytest.mark.slow
def test_a_run_that_was_stopped(places, tmp_path, monkeypatch):
    real, left = module.train_and_measure, [4]

    def stopped(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "train_and_measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        downstream(places[0], tmp_path / "o", rows=("real", "flips"), **QUICK)
    assert len(list((tmp_path / "o" / "runs").iterdir())) == 4 and not (tmp_path / "o" / "results.json").exists()
    left[0] = 8
    downstream(places[0], tmp_path / "o", rows=("real", "flips"), **QUICK)
    assert left[0] == 0


def test_the_command(places, tmp_path):
    words = ["downstream", "--cohort", str(places[0]), "--rows", "real", "cutmix", "-o", str(tmp_path / "o")]
    words += ["--folds", "2", "--iterations", "2", "--no_progress"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "real: Dice 0." in said.output and "against real: " in said.output and "report.html" in said.output
    content = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert set(content["dice"]) == {"real", "cutmix"} and content["synthetic"] is False


def test_folders_that_are_not_ours(places, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.md").write_text("notes")
    with pytest.raises(InputError, match="table.md: is there already and was not written by mededit"):
        downstream(places[0], tmp_path / "mine", rows=("real",), **QUICK)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["table.md"]
    with pytest.raises(InputError, match="lies in .*, the cohort; choose a folder beside it"):
        downstream(places[0], places[0] / "out", rows=("real",), **QUICK)
    with pytest.raises(InputError, match="the synthetic cases; choose"):
        downstream(places[0], places[1], places[1], rows=("synthetic",), **QUICK)
    with pytest.raises(InputError, match="--device: got 'tpu9'"):
        downstream(places[0], tmp_path / "o", rows=("real",), **QUICK | {"device": "tpu9"})


def test_a_report_that_somebody_edited_is_not_replaced(places, tmp_path, monkeypatch):
    """Refused before the first training, also where other rows are asked for."""
    downstream(places[0], tmp_path, places[1], rows=("real",), **QUICK)
    (tmp_path / "report.html").write_text("with my remarks")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(module, "make_plan", lambda options: pytest.fail("something was read"))
    with pytest.raises(InputError, match="report.html: was changed after mededit wrote it, so it is not replaced"):
        downstream(places[0], tmp_path, places[1], rows=ROWS, **QUICK)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

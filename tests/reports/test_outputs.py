# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The reports' programs write over nobody's file, and end in a sentence."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from reports.small_evaluation import write_evaluation

from mededit_monai.core.errors import InputError
from mededit_monai.reports import (
    cases_picture,
    curves,
    evaluation_report,
    release_check,
    scan_comparison,
    scan_sheet,
    simulation_realism,
    training_bench,
    ventricle_agreement,
    weight_check,
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation(folder)
    return folder


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["epoch", "train_loss", "val_loss"], [1, 0.5, 0.6], [2, 0.4, 0.5]])
    return path


def run(monkeypatch, capsys, main, *words: str) -> tuple[int, str]:
    """Exit code of a program's ``main`` and what it said on stderr."""
    monkeypatch.setattr(sys, "argv", ["program", *words])
    try:
        code = main() or 0
    except SystemExit as ended:
        code = ended.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "words", "name"),
    [
        (weight_check, (), "sheet.png"),
        (weight_check, (), "weight_check.json"),
        (ventricle_agreement, ("--scans", "scans", "--meshnet", "model"), "agreement.md"),
        (scan_sheet, ("--scans", "scans"), "sheet.png"),
        (scan_comparison, ("--scans", "scans"), "comparison.md"),
        (scan_comparison, ("--scans", "scans"), "gallery.png"),
    ],
)
def test_a_users_own_file_survives(monkeypatch, capsys, tmp_path, program, words, name):
    monkeypatch.chdir(tmp_path)
    for folder in ("out", "scans", "model"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out" / name).write_text("years of work")
    code, said = run(monkeypatch, capsys, program.main, *words, "--output_dir", "out")
    assert code == 2 and f"{name}: is there already and was not written by mededit" in said
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {name: "years of work"}


def test_a_single_file_is_replaced_if_it_is_ours_and_that_is_wanted(monkeypatch, capsys, tmp_path, evaluation, history):
    programs = {
        "curves.png": (curves.main, (str(history), "{out}")),
        "cases.png": (
            cases_picture.main,
            ("--folder", str(evaluation), "--row", "stroke_mask_mededit", "-o", "{out}"),
        ),
    }
    for name, (main, words) in programs.items():
        out = tmp_path / name
        given = [word.format(out=out) for word in words]
        out.write_text("years of work")
        monkeypatch.setattr(sys, "argv", ["program", *given])
        for more in ([], ["--overwrite"]):
            with pytest.raises(SystemExit) as ended:
                main([*given, *more])
            assert ended.value.code == 2 and "was not written by mededit" in capsys.readouterr().err
            assert out.read_text() == "years of work"
        out.unlink()
        assert main(given) == 0 and main(given) == 0  # the same again is no change
        first = out.read_bytes()
        assert first.startswith(b"\x89PNG")
    other = tmp_path / "other.csv"
    other.write_text(history.read_text() + "3,0.3,0.4\n")
    with pytest.raises(SystemExit):
        curves.main([str(other), str(tmp_path / "curves.png")])
    assert "give --overwrite" in capsys.readouterr().err
    assert curves.main([str(other), str(tmp_path / "curves.png"), "--overwrite"]) == 0
    with pytest.raises(SystemExit):
        curves.main([str(other), str(other), "--overwrite"])
    assert "would be written over the input" in capsys.readouterr().err


def test_a_page_that_is_not_ours_survives(tmp_path):
    write_evaluation(tmp_path)
    (tmp_path / "report.html").write_text("years of work")
    with pytest.raises(InputError, match="report.html: is there already and was not written by mededit"):
        evaluation_report.write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "years of work"
    (tmp_path / "report.html").unlink()
    assert evaluation_report.write_report(tmp_path) == evaluation_report.write_report(tmp_path)


def test_a_candidates_table_replaces_its_own_alone(tmp_path):
    table, weights = release_check.tables_folder() / "release_stroke.yaml", tmp_path / "$new.pt"
    weights.write_bytes(b"")
    place = release_check.with_candidate(table, weights, tmp_path / "out")
    assert release_check.with_candidate(table, weights, tmp_path / "out") == place
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / table.name).write_text("years of work")
    with pytest.raises(InputError, match="was not written by mededit"):
        release_check.with_candidate(table, weights, tmp_path / "mine")
    assert (tmp_path / "mine" / table.name).read_text() == "years of work"


@pytest.mark.parametrize(
    ("program", "words", "sentence"),
    [
        (weight_check, ("--cases", "0"), "--cases: got 0"),
        (weight_check, ("--bundle", "nowhere"), "--bundle: 'nowhere'"),
        (training_bench, ("--batches", "-1"), "--batches: got -1"),
        (simulation_realism, ("--scans", "nowhere", "--per_scan", "0"), "--per_scan: got 0"),
        (simulation_realism, ("--scans", "nowhere", "--output", "{mine}"), "was not written by mededit"),
        (ventricle_agreement, ("--scans", "nowhere", "--meshnet", "nowhere"), "--scans: nowhere is no folder"),
        (scan_comparison, ("--scans", "nowhere", "--methods", "pior"), "did you mean 'prior'"),
    ],
)
def test_mad_options_are_one_sentence(monkeypatch, capsys, tmp_path, program, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("mine")
    code, said = run(monkeypatch, capsys, program.main, *(word.format(mine="mine.json") for word in words))
    assert code == 2 and sentence in said and len(said.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


def test_a_program_of_its_own_ends_in_a_sentence(tmp_path):
    command = [sys.executable, "-m", "mededit_monai.reports.curves", str(tmp_path), str(tmp_path / "curves.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "not found; give the history.csv of a training" in done.stderr
    assert "Traceback" not in done.stderr

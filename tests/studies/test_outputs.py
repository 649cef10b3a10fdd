# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The studies' programs write over nobody's file, and end in a sentence."""

from __future__ import annotations

import runpy
import sys

import pytest
from reports.small_evaluation import write_evaluation

from mededit_monai.core.errors import InputError
from studies import (
    cases_picture,
    golden,
    mutants,
    release_check,
    scan_comparison,
    scan_sheet,
    simulation_realism,
    training_bench,
    ventricle_agreement,
    weight_check,
)


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


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_outcomes_of_mutants_replace_nothing_of_the_users(monkeypatch, capsys, tmp_path, more):
    (tmp_path / "mine.json").write_text("years of work")
    monkeypatch.setattr(mutants, "try_all", lambda *given, **options: pytest.fail("mistakes were tried"))
    code, said = run(monkeypatch, capsys, mutants.main, "--json", str(tmp_path / "mine.json"), *more)
    assert code == 2 and "mine.json: is there already and was not written by mededit" in said
    assert (tmp_path / "mine.json").read_text() == "years of work"


def test_a_record_replaces_nothing_without_a_word(monkeypatch, capsys, tmp_path, repository):
    (tmp_path / "mine.json").write_text("years of work")
    code, said = run(
        monkeypatch, capsys, golden.main, "record", "--tree", str(repository), "--out", str(tmp_path / "mine.json")
    )
    assert code == 2 and "is there already; choose another --out, or give --overwrite" in said
    assert (tmp_path / "mine.json").read_text() == "years of work"


def test_a_picture_is_replaced_if_it_is_ours_and_that_is_wanted(capsys, tmp_path):
    write_evaluation(tmp_path / "evaluation")
    out = tmp_path / "cases.png"
    given = ["--folder", str(tmp_path / "evaluation"), "--row", "stroke_mask_mededit", "-o", str(out)]
    out.write_text("years of work")
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit) as ended:
            cases_picture.main([*given, *more])
        assert ended.value.code == 2 and "was not written by mededit" in capsys.readouterr().err
        assert out.read_text() == "years of work"
    out.unlink()
    assert cases_picture.main(given) == 0 and cases_picture.main(given) == 0  # the same again is no change
    assert out.read_bytes().startswith(b"\x89PNG")


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
        (scan_comparison, ("--scans", "nowhere", "--methods", "morf"), "did you mean 'morph'"),
    ],
)
def test_mad_options_are_one_sentence(monkeypatch, capsys, tmp_path, program, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("mine")
    code, said = run(monkeypatch, capsys, program.main, *(word.format(mine="mine.json") for word in words))
    assert code == 2 and sentence in said and len(said.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


def test_a_program_is_run_by_its_name(monkeypatch, capsys, tmp_path):
    """As ``python -m`` does, without a process that imports all of it again."""
    given = ("--folder", str(tmp_path), "--row", "r")
    code, said = run(
        monkeypatch, capsys, lambda: runpy.run_module("studies.cases_picture", run_name="__main__"), *given
    )
    assert code == 2 and "evaluation.json: not found" in said and "Traceback" not in said

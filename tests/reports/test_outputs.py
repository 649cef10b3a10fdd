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
from mededit_monai.reports import curves, evaluation_report


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.csv"
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["epoch", "train_loss", "val_loss"], [1, 0.5, 0.6], [2, 0.4, 0.5]])
    return path


def test_a_picture_is_replaced_if_it_is_ours_and_that_is_wanted(monkeypatch, capsys, tmp_path, history):
    out = tmp_path / "curves.png"
    given = [str(history), str(out)]
    out.write_text("years of work")
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit) as ended:
            curves.main([*given, *more])
        assert ended.value.code == 2 and "was not written by mededit" in capsys.readouterr().err
        assert out.read_text() == "years of work"
    out.unlink()
    assert curves.main(given) == 0 and curves.main(given) == 0  # the same again is no change
    assert out.read_bytes().startswith(b"\x89PNG")
    other = tmp_path / "other.csv"
    other.write_text(history.read_text() + "3,0.3,0.4\n")
    with pytest.raises(SystemExit):
        curves.main([str(other), str(tmp_path / "curves.png")])
    assert "give --overwrite" in capsys.readouterr().err
    assert curves.main([str(other), str(tmp_path / "curves.png"), "--overwrite"]) == 0
    with pytest.raises(SystemExit):
        curves.main([str(other), str(other), "--overwrite"])
    assert "would be written over the input" in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_that_is_not_ours_survives(tmp_path):
    write_evaluation(tmp_path)
    (tmp_path / "report.html").write_text("years of work")
    with pytest.raises(InputError, match="report.html: is there already and was not written by mededit"):
        evaluation_report.write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "years of work"
    (tmp_path / "report.html").unlink()
    assert evaluation_report.write_report(tmp_path) == evaluation_report.write_report(tmp_path)


def test_a_program_of_its_own_ends_in_a_sentence(tmp_path):
    command = [sys.executable, "-m", "mededit_monai.reports.curves", str(tmp_path), str(tmp_path / "curves.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "not found; give the history.csv of a training" in done.stderr
    assert "Traceback" not in done.stderr

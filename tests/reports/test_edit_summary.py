# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is said of the cases of a list, of folders whose every figure is known."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mededit_monai.core.errors import InputError
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.outputs import written_files
from mededit_monai.reports import edit_summary
from mededit_monai.reports.edit_summary import require_free_summary, write_summary

ODD = "a<b> & c"


def result(out: Path, name: str, moved: tuple[float, ...] = (), shade: int = 0, **facts) -> None:
    """An edit's folder, of which nothing but what the summary reads is there; ``moved`` in one sample each."""
    with finished_folder(out / name) as folder:
        (folder / "provenance.json").write_text(json.dumps({"case_id": name, "warnings": [], "seconds": 1.0, **facts}))
        Image.fromarray(np.full((20, 960, 3), shade, np.uint8)).save(folder / "preview.png")
        for number, mm in enumerate(moved):
            place = folder / f"sample_{number}" if len(moved) > 1 else folder
            place.mkdir(exist_ok=True)
            (place / "effects.json").write_text(json.dumps({"largest_displacement_mm": mm}))


def table(out: Path) -> dict[str, dict[str, str]]:
    return {row["case_id"]: row for row in csv.DictReader(io.StringIO((out / "summary.csv").read_text()))}


def failure(name: str, why: str = "x: is empty.") -> dict[str, str]:
    return {"case_id": name, "failed": why}


def test_a_row_says_what_the_folder_says(tmp_path):
    result(tmp_path, ODD, (1.5, 2.25, 0.5), lesion_ml=3.5, warnings=["one", "two"], seconds=4.5)
    result(tmp_path, "old")
    write_summary(tmp_path, {ODD}, (), [failure("bad", '<script>: is, "odd".')])
    found = table(tmp_path)
    assert list(found) == [ODD, "bad", "old"]
    assert list(found[ODD].values()) == [ODD, "done", "", "3.5", "2.25", "2", "4.5", ODD]
    assert list(found["bad"].values()) == ["bad", "failed", '<script>: is, "odd".', *[""] * 5]
    assert list(found["old"].values()) == ["old", "done before", "", "", "", "0", "1.0", "old"]


def test_the_page_needs_no_other_file_and_runs_nothing(tmp_path):
    result(tmp_path, ODD, shade=200)
    write_summary(tmp_path, {ODD}, (), [failure("bad", "<script>alert(1)</script>")])
    page = (tmp_path / "summary.html").read_text()
    assert "All edits are synthetic" in page and "Research use only, not a medical device" in page
    assert "a&lt;b&gt; &amp; c" in page and "<script" not in page and ODD not in page
    assert "1 done" in page and "1 failed" in page
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg;base64,|a%3Cb%3E%20%26%20c/preview.png")', page)
    (picture,) = re.findall(r"base64,([^\"]+)", page)
    shown = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert shown.size == (480, 10) and np.abs(np.asarray(shown).astype(int) - 200).max() < 4


def test_the_last_of_the_shards_has_the_rows_of_all(tmp_path):
    result(tmp_path, "one")
    write_summary(tmp_path, {"one"}, (), [failure("two")])
    result(tmp_path, "three")
    write_summary(tmp_path, {"three"}, (), [failure("four")])
    assert {k: v["status"] for k, v in table(tmp_path).items()} == {
        "one": "done before",
        "two": "failed",
        "three": "done",
        "four": "failed",
    }
    assert [one["case_id"] for one in json.loads((tmp_path / "failed.json").read_text())] == ["two", "four"]


@pytest.mark.parametrize("made", [{"two"}, set()])
def test_a_case_that_is_done_failed_no_more(tmp_path, made):
    """Neither where it was made now, nor where it was found done, with the options of an older run."""
    write_summary(tmp_path, (), (), [failure("two")])
    result(tmp_path, "two")
    write_summary(tmp_path, made, {"two"} - made, [])
    assert table(tmp_path)["two"]["status"] == ("done" if made else "done before")
    assert not (tmp_path / "failed.json").exists() and "failed.json" not in written_files(tmp_path)


@pytest.mark.parametrize(
    "content", ["null", "[1]", "{}", '[{"case_id": "a"}]', '[{"case_id": ["a"], "failed": "b"}]', "[", ""]
)
def test_a_list_of_failures_that_is_none(tmp_path, content):
    """It is ours, so that it is written anew, and no case is lost for it."""
    write_summary(tmp_path, (), (), [failure("two")])
    (tmp_path / "failed.json").write_text(content)
    result(tmp_path, "one")
    write_summary(tmp_path, {"one"}, (), [failure("three")])
    assert json.loads((tmp_path / "failed.json").read_text()) == [failure("three")] and set(table(tmp_path)) == {
        "one",
        "three",
    }
    (tmp_path / "failed.json").write_text(content)
    write_summary(tmp_path, {"one"}, {"three"}, [])
    assert not (tmp_path / "failed.json").exists()


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+1", "-1", "\t=1"])
def test_no_name_is_a_formula(tmp_path, name):
    """Spreadsheets compute what a cell begins with = + - or @."""
    result(tmp_path, name)
    write_summary(tmp_path, {name}, (), [failure("bad", "=2+2")])
    rows = table(tmp_path)
    assert rows[f"'{name}"]["path"] == f"'{name}" and rows["bad"]["reason"] == "'=2+2"
    assert rows[f"'{name}"]["seconds"] == "1.0"


def test_a_case_that_failed_is_not_done_by_an_older_result(tmp_path):
    result(tmp_path, "two")
    write_summary(tmp_path, (), (), [failure("two")])
    assert [row["status"] for row in table(tmp_path).values()] == ["failed"]


def test_the_same_again_changes_no_byte(tmp_path):
    result(tmp_path, "one")
    write_summary(tmp_path, (), {"one"}, [])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    write_summary(tmp_path, (), {"one"}, [])
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert set(written_files(tmp_path)) == {"summary.csv", "summary.html"}


def test_what_a_killed_run_left_of_the_summary_goes(tmp_path):
    result(tmp_path, "one")
    write_summary(tmp_path, {"one"}, (), [])
    names = {path.name for path in tmp_path.iterdir()}
    for name in ("summary.csv", "summary.html", "failed.json", ".mededit.json", "mine.csv"):
        (tmp_path / f".0123abcd.unfinished.{name}").write_bytes(b"half")
    write_summary(tmp_path, (), {"one"}, [])
    assert {path.name for path in tmp_path.iterdir()} == names | {".0123abcd.unfinished.mine.csv"}


def test_folders_of_somebody_have_no_row(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "provenance.json").write_text(json.dumps({"case_id": "mine"}))
    (tmp_path / "note.txt").write_text("mine")
    write_summary(tmp_path, (), (), [])
    assert {p.name for p in tmp_path.iterdir()} == {"mine", "note.txt"}


def test_nothing_is_made_for_nothing(tmp_path):
    write_summary(tmp_path / "out", (), (), [])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["summary.csv", "summary.html"])
def test_a_table_that_somebody_changed_stays(tmp_path, name):
    result(tmp_path, "one")
    write_summary(tmp_path, {"one"}, (), [])
    (tmp_path / name).write_text("mine")
    result(tmp_path, "two")
    for refused in (lambda: require_free_summary(tmp_path, ()), lambda: write_summary(tmp_path, {"two"}, (), [])):
        with pytest.raises(InputError, match=f"{name}: was changed after mededit wrote it"):
            refused()
    assert (tmp_path / name).read_text() == "mine"
    write_summary(tmp_path, {"two"}, (), [], overwrite=True)
    assert "two" in (tmp_path / name).read_text()


def test_no_case_is_called_like_the_table(tmp_path):
    with pytest.raises(InputError, match="case_id 'summary.csv': is the name of a file"):
        require_free_summary(tmp_path, ["a", "summary.csv"])


def test_of_many_cases_the_first_have_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(edit_summary, "THUMBNAILS", 2)
    for name in "abc":
        result(tmp_path, name)
    write_summary(tmp_path, "abc", (), [failure("aa")])
    page = (tmp_path / "summary.html").read_text()
    assert page.count("base64,") == 2 and "pictures of 1 more" in page and "c, synthetic" not in page

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit view`, and `--html` of `mededit edit`."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import write_head
from promises.verbs import mededit  # noqa: F401
from view_cases import write_case

from mededit_monai.io.finished import is_complete


def test_a_page_of_one_case_and_of_all(tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    write_case(Path("out/a"))
    first = mededit("view", "out/a", "--json")
    assert first.code == 0 and json.loads(first.out) == {"synthetic": True, "written": ["out/a/viewer.html"]}
    write_case(Path("out/b"))
    both = mededit("view", "out")
    assert both.code == 0 and [line.split(":")[0] for line in both.out.splitlines()] == [
        "out/a/viewer.html",
        "out/b/viewer.html",
    ]
    refused = mededit("view", "out", "-o", "a.html")
    assert refused.code == 2 and "--output: got 'a.html' for 2 cases in out; give the folder of one." in refused.err
    assert mededit("view", "out/a", "-o", "a.html").code == 0 and Path("a.html").is_file()


def test_bad_input_is_one_sentence(tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    write_case(Path("out/a"))
    Path("out/scan.nii.gz").unlink()
    for words, sentence in ((("out/a",), "say where it is now with --scan FILE"), (("gone",), "gone: not found; give")):
        done = mededit("view", *words)
        assert done.code == 2 and sentence in done.err and done.err.count("\n") == 1 and not done.out, done.said
    assert not list(Path("out").rglob("viewer.html"))


def test_a_case_that_cannot_be_shown_does_not_stop_the_others(tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        write_case(Path("out") / name, scan=f"{name}.nii.gz")
    Path("out/b.nii.gz").unlink()
    Path("out/failed.json").write_text("[]")  # of the edit, whose cases are all there
    some = mededit("view", "out")
    assert some.code == 2 and [line.split(":")[0] for line in some.out.splitlines()] == [
        "out/a/viewer.html",
        "out/c/viewer.html",
    ]
    first, last = some.err.splitlines()
    assert first.startswith("mededit: b: ") and first.endswith("say where it is now with --scan FILE.")
    assert last == "mededit: 1 of 3 cases failed, the others are done."
    assert Path("out/c/viewer.html").is_file() and not Path("out/b/viewer.html").exists()
    assert Path("out/failed.json").read_text() == "[]"
    told = mededit("view", "out", "--json")
    assert told.code == 2 and [one["case_id"] for one in json.loads(told.out)["failed"]] == ["b"]
    assert json.loads(told.out)["written"] == ["out/a/viewer.html", "out/c/viewer.html"]
    for name in ("a", "c"):
        Path(f"out/{name}.nii.gz").unlink()
    none = mededit("view", "out")
    assert none.refused("--scan FILE. None of the 3 cases can be shown; this is why not the first.") and not none.out


def test_an_edit_writes_it_if_asked_to(tmp_path, monkeypatch, mededit):  # noqa: F811
    """With the result, and later beside one that was done without it."""
    monkeypatch.chdir(tmp_path)
    write_head(tmp_path / "head")
    files = ("--scan", "head/scan.nii.gz", "--pathology", "head/pathology.nii.gz", "--slice_index", "10")
    made = mededit("edit", *files, "--html", "-o", "out")
    assert made.code == 0 and made.out == "out/scan: look at out/scan/viewer.html, load out/scan/edited.nii.gz\n"
    assert is_complete("out/scan", ["viewer.html"]) and b"SYNTHETIC" in Path("out/scan/viewer.html").read_bytes()
    plain = mededit("edit", *files, "-o", "two")
    assert plain.code == 0 and not Path("two/scan/viewer.html").exists()
    later = mededit("edit", *files, "--html", "-o", "two")
    assert later.code == 0 and is_complete("two/scan", ["viewer.html"]) and "nothing to do" in later.out

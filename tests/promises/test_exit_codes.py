# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The exit codes of docs/reference/errors.md, each from a verb that ends so."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from promises.verbs import mededit  # noqa: F401

from mededit_monai.core import program
from mededit_monai.errors import InputError, SomeFailed

FAILED = [{"case_id": "b", "failed": "x: is empty."}]

#: How a run ends → the code, and what is on stdout and stderr with --json.
ENDS = {
    "done": ([Path("out/a")], 0, {"synthetic": True, "written": ["out/a"]}, ""),
    "nothing to do": ([], 0, {"synthetic": True, "written": []}, ""),
    "fault": (ZeroDivisionError("x"), 1, None, "a fault of the program"),
    "bad input": (InputError("a: bad; way out."), 2, None, "mededit: a: bad; way out."),
    "refused by the system": (PermissionError(13, "Permission denied", "T1.nii"), 2, None, "T1.nii: permission denied"),
    "some failed": (
        SomeFailed([Path("out/a")], FAILED, 3, Path("out/failed.json")),
        2,
        {"synthetic": True, "written": ["out/a"], "failed": FAILED},
        "mededit: 1 of 5 cases failed, the others are done; out/failed.json lists them.",
    ),
    "all failed": (
        SomeFailed([], FAILED, 0, Path("failed.json")),
        2,
        {"synthetic": True, "written": [], "failed": FAILED},
        "mededit: 1 of 1 cases failed; failed.json lists them.",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, None, "interrupted; what was finished is whole"),
    "nobody reads on": (BrokenPipeError(), 141, None, ""),
    "scheduler": (KeyboardInterrupt(), 143, None, "interrupted; what was finished is whole"),
}


@pytest.mark.parametrize("name", list(ENDS))
def test_how_a_run_ends(name, tmp_path, monkeypatch, mededit):  # noqa: F811
    ending, code, answer, said = ENDS[name]
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path))
    monkeypatch.setattr("sys.stdout", sys.stdout)  # which a broken pipe replaces
    if name == "scheduler":
        monkeypatch.setattr(program, "_terminated", [15])

    def edit(**options):
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr("mededit_monai.workflows.edit", edit)
    done = mededit("edit", "--json", "--quiet")
    assert done.code == code and said in done.err and bool(done.err) is bool(said), done.said
    assert (json.loads(done.out) if done.out else None) == answer


def test_the_page_lists_them():
    page = (REPOSITORY / "docs" / "reference" / "errors.md").read_text()
    table = page.partition("## Exit codes")[2].partition("## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)} == {code for _, code, *_ in ENDS.values()}

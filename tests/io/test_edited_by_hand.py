# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A report that somebody edited is refused before anything is computed, and never replaced at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.hashing import sha256
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder, written_files

EDITED = b"with my remarks\n"
CHANGED = "report.md: was changed after mededit wrote it, so it is not replaced; move it away"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture()
def out(tmp_path) -> Path:
    """A folder with a report that somebody edited, and a table that is as it was."""
    OutputFolder(tmp_path / "out").write({"report.md": b"1\n", "table.csv": b"a\n1\n"})
    (tmp_path / "out" / "report.md").write_bytes(EDITED)
    return tmp_path / "out"


def test_it_is_refused_at_once_and_at_the_end(out):
    folder, before = OutputFolder(out), content(out)
    with pytest.raises(InputError, match=CHANGED):
        folder.require_free(["table.csv", "report.md"])
    with pytest.raises(InputError, match=CHANGED):
        folder.write({"table.csv": b"a\n2\n", "report.md": b"2\n"})
    assert content(out) == before  # all of them or none
    folder.write({"table.csv": b"a\n2\n"})
    folder.require_free(["table.csv"])
    folder.reserve(["report.md"])  # to know one's own files is no reason to refuse
    assert (out / "report.md").read_bytes() == EDITED
    allowed = OutputFolder(out, overwrite=True)
    allowed.require_free(["report.md"])
    allowed.write({"report.md": b"2\n"})
    assert (out / "report.md").read_bytes() == b"2\n" and written_files(out)["report.md"] == sha256(out / "report.md")


def test_the_same_bytes_again_are_no_change(out):
    (out / "report.md").write_bytes(b"1\n")
    before = content(out)
    OutputFolder(out).write({"report.md": b"1\n"})
    assert content(out) == before


def test_it_is_refused_before_a_run_begins(out):
    before, computed = content(out), []
    with pytest.raises(InputError, match=CHANGED), held_folder(out, ["report.md", "table.csv"]):
        computed.append("for hours")
    assert computed == [] and content(out) == before
    with held_folder(out, ["report.md"], overwrite=True) as folder:
        folder.write({"report.md": b"2\n"})
    assert (out / "report.md").read_bytes() == b"2\n"


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_written_past_the_folder_is_known_too(tmp_path, fails):
    """As a picture is, by the library that draws it; also by a run that fails after that."""

    def run(text: bytes) -> None:
        with held_folder(tmp_path / "out", ["report.md", "never.md"]):
            (tmp_path / "out" / "report.md").write_bytes(text)
            if fails:
                raise ZeroDivisionError

    for text in (b"1\n", b"2\n"):  # what nobody changed is replaced
        try:
            run(text)
        except ZeroDivisionError:
            assert fails
    assert written_files(tmp_path / "out") == {"report.md": sha256(tmp_path / "out" / "report.md")}
    (tmp_path / "out" / "report.md").write_bytes(EDITED)
    with pytest.raises(InputError, match=CHANGED):
        run(b"3\n")
    assert (tmp_path / "out" / "report.md").read_bytes() == EDITED


def test_a_run_that_was_killed_had_the_last_word(tmp_path):
    """While a file is being written its old digest says nothing, so nobody is suspected of the program's own work."""
    with held_folder(tmp_path, ["report.md"]):
        (tmp_path / "report.md").write_bytes(b"1\n")
    with held_folder(tmp_path, ["report.md"]):
        assert written_files(tmp_path) == {"report.md": None}
        (tmp_path / "report.md").write_bytes(b"2\n")
        assert written_files(tmp_path) == {"report.md": None}  # killed here


def test_what_is_edited_while_a_run_computes_stays(tmp_path):
    with held_folder(tmp_path, ["report.md"]) as folder:
        folder.write({"report.md": b"1\n"})
        folder.write({"report.md": b"2\n"})  # its own
    with pytest.raises(InputError, match=CHANGED), held_folder(tmp_path, ["report.md"]) as folder:
        (tmp_path / "report.md").write_bytes(EDITED)
        folder.write({"report.md": b"3\n"})
    assert (tmp_path / "report.md").read_bytes() == EDITED


def test_a_folder_without_names_gets_no_list(tmp_path):
    with held_folder(tmp_path / "out"):
        assert written_files(tmp_path / "out") is None


def test_files_that_go_on_changing_are_not_sealed(tmp_path):
    with held_folder(tmp_path, ["history.csv"], sealed=False):
        (tmp_path / "history.csv").write_bytes(b"1\n")
    assert written_files(tmp_path) == {"history.csv": None}
    (tmp_path / "history.csv").write_bytes(b"1\n2\n")
    with held_folder(tmp_path, ["history.csv"], sealed=False):
        pass

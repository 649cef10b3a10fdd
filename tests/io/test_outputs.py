# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whose a file is. Every refusal leaves every byte where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io import finished
from mededit_monai.io.atomic import replacing, write_bytes, write_json
from mededit_monai.io.finished import clear_up, finished_folder, is_complete, remove_listed
from mededit_monai.io.outputs import (
    MARKER,
    OutputFolder,
    list_files,
    marker_facts,
    remove_listed_file,
    require_apart,
    write_output,
    written_files,
)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def finish(final: Path, files: dict[str, bytes], **options) -> None:
    with finished_folder(final, **options) as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


# --- a finished folder -----------------------------------------------------------------------------------------------


def test_a_folder_appears_whole_and_lists_its_files(tmp_path):
    finish(tmp_path / "out" / "case", {"a.txt": b"1", "sample_0/b.txt": b"2"}, scan="me")
    assert set(tree(tmp_path / "out")) == {"case/a.txt", "case/sample_0/b.txt", f"case/{MARKER}"}
    assert set(written_files(tmp_path / "out" / "case")) == {"a.txt", "sample_0/b.txt"}
    assert marker_facts(tmp_path / "out" / "case")["scan"] == "me" and is_complete(tmp_path / "out" / "case")


def test_it_takes_the_place_of_our_own(tmp_path):
    finish(tmp_path / "case", {"a.txt": b"1", "old/b.txt": b"2"})
    finish(tmp_path / "case", {"a.txt": b"3"})
    assert tree(tmp_path / "case").keys() == {"a.txt", MARKER} and [p.name for p in tmp_path.iterdir()] == ["case"]
    assert (tmp_path / "case" / "a.txt").read_bytes() == b"3"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("before", [True, False])
def test_whatever_goes_wrong_nothing_half_written_stays(tmp_path, error, before):
    if before:
        finish(tmp_path / "case", {"a.txt": b"1"})
    old = tree(tmp_path)
    with pytest.raises(type(error)), finished_folder(tmp_path / "case") as folder:
        (folder / "a.txt").write_bytes(b"half")
        raise error
    assert tree(tmp_path) == old and [p.name for p in tmp_path.iterdir()] == ["case"] * before


KILLED = """
import os, pathlib, sys
from mededit_monai.io import finished
if sys.argv[2] == "moved":
    rename = os.rename
    finished.os.rename = lambda a, b: os._exit(9) if str(a).endswith("unfinished") else rename(a, b)
if sys.argv[2] == "in place":
    finished.remove_listed = lambda folder: os._exit(9)
with finished.finished_folder(sys.argv[1]) as folder:
    if sys.argv[2] == "made":
        os._exit(9)
    (folder / "a.txt").write_bytes(b"half")
    if sys.argv[2] == "writing":
        os._exit(9)
"""


@pytest.mark.parametrize("moment", ["made", "writing", "moved", "in place"])
def test_what_a_killed_run_left_is_cleared_up_by_the_next(tmp_path, moment):
    finish(tmp_path / "case", {"a.txt": b"1"})
    (tmp_path / ".case.users.unfinished").mkdir()
    (tmp_path / ".case.users.unfinished" / "notes.txt").write_bytes(b"irreplaceable")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "case"), moment])
    assert done.returncode == 9 and len(list(tmp_path.glob(".case.*"))) > 1
    finish(tmp_path / "case", {"a.txt": b"2"})
    assert tree(tmp_path).keys() == {"case/a.txt", f"case/{MARKER}", ".case.users.unfinished/notes.txt"}
    assert (tmp_path / "case" / "a.txt").read_bytes() == b"2"


def test_nothing_is_written_to_a_folder_that_is_in_its_place(tmp_path, monkeypatch):
    """What was, would be half-written in a result that is done."""
    seen = []
    real = finished._put_in_place
    monkeypatch.setattr(finished, "_put_in_place", lambda *given: (real(*given), seen.append(tree(tmp_path))))
    finish(tmp_path / "case", {"a.txt": b"1"})
    assert seen == [tree(tmp_path)] and "process" not in marker_facts(tmp_path / "case")


def test_older_selves_of_what_is_done_go_too(tmp_path):
    """A run was killed right after its result was in its place, or while it removed the older one."""
    finish(tmp_path / "case", {"a.txt": b"2"})
    for name, content in (("0123abcd", b"1"), ("0123abce", None), ("0123abcf", b"users")):
        old = tmp_path / f".case.{name}.old"
        old.mkdir()
        if content is not None:
            (old / "a.txt").write_bytes(content)
        if content == b"1":
            list_files(old, {"a.txt": None})
    finish(tmp_path / "other", {"a.txt": b"3"})
    (tmp_path / "other").rename(tmp_path / ".other.0123abcd.old")
    clear_up(tmp_path, (), ("case", "other"))
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"case", ".case.0123abcf.old", ".other.0123abcd.old"}  # nobody claims the name to put it back
    clear_up(tmp_path, ("other",))
    assert is_complete(tmp_path / "other")


def test_an_earlier_process_of_our_own_number_is_over(tmp_path):
    """A container that restarts gives its first process the same number."""
    with pytest.raises(FileNotFoundError), finished_folder(tmp_path / "case") as folder:
        left = folder.name
        folder.rmdir()  # so that it stays when the block ends
    others = f"{'0' * 8}{left[14:]}"
    for name in (left, f".case.{others}"):
        (tmp_path / name).mkdir()
    clear_up(tmp_path, ("case",))
    assert [path.name for path in tmp_path.iterdir()] == [f".case.{others}"]  # another host's may be at work
    clear_up(tmp_path, ("other",), anywhere=True)
    assert [path.name for path in tmp_path.iterdir()] == [f".case.{others}"]
    clear_up(tmp_path, ("case",), anywhere=True)  # by who had workers there
    assert not list(tmp_path.iterdir())


def users_folder(place: Path) -> None:
    place.mkdir()
    (place / "T1.nii.gz").write_bytes(b"irreplaceable")


def users_file(place: Path) -> None:
    place.write_bytes(b"irreplaceable")


def link_to_a_users_folder(place: Path) -> None:
    users_folder(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


def our_folder_with_a_users_file(place: Path) -> None:
    finish(place, {"a.txt": b"1"})
    (place / "notes.txt").write_bytes(b"irreplaceable")


def our_folder_with_a_users_file_below(place: Path) -> None:
    finish(place, {"sample_0/a.txt": b"1"})
    (place / "sample_0" / "notes.txt").write_bytes(b"irreplaceable")


def our_folder_with_a_changed_file(place: Path) -> None:
    finish(place, {"a.txt": b"1"})
    (place / "a.txt").write_bytes(b"corrected by hand, an hour's work")


def somebody_elses_marker(place: Path) -> None:
    users_folder(place)
    (place / MARKER).write_text('{"files": {"T1.nii.gz": null}}')


FOREIGN = [
    users_folder,
    users_file,
    link_to_a_users_folder,
    our_folder_with_a_users_file,
    our_folder_with_a_users_file_below,
    our_folder_with_a_changed_file,
    somebody_elses_marker,
]


@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_not_ours_is_never_replaced(tmp_path, make):
    make(tmp_path / "case")
    before = tree(tmp_path)
    with pytest.raises(InputError) as caught:
        finish(tmp_path / "case", {"a.txt": b"2"})
    assert tree(tmp_path) == before and "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [make for make in FOREIGN if make is not our_folder_with_a_changed_file])
def test_overwrite_is_no_leave_to_replace_what_mededit_did_not_write(tmp_path, make):
    make(tmp_path / "case")
    before = tree(tmp_path)
    with pytest.raises(InputError):
        finish(tmp_path / "case", {"a.txt": b"2"}, overwrite=True)
    assert tree(tmp_path) == before


def test_overwrite_replaces_our_own_though_it_was_changed(tmp_path):
    our_folder_with_a_changed_file(tmp_path / "case")
    finish(tmp_path / "case", {"a.txt": b"2"}, overwrite=True)
    assert (tmp_path / "case" / "a.txt").read_bytes() == b"2"


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "case").mkdir()
    finish(tmp_path / "case", {"a.txt": b"1"})
    assert is_complete(tmp_path / "case")


def test_a_file_that_appears_while_we_compute_is_safe(tmp_path):
    finish(tmp_path / "case", {"a.txt": b"1"})
    with pytest.raises(InputError, match="notes.txt"), finished_folder(tmp_path / "case") as folder:
        (folder / "a.txt").write_bytes(b"2")
        (tmp_path / "case" / "notes.txt").write_bytes(b"irreplaceable")
    assert set(tree(tmp_path)) == {"case/a.txt", "case/notes.txt", f"case/{MARKER}"}


# --- done ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: (f / "a.json").unlink(),
        lambda f: (f / "a.json").write_bytes(b""),
        lambda f: (f / "a.json").write_bytes(b'{"half'),
        lambda f: (f / MARKER).unlink(),
        lambda f: (f / MARKER).write_bytes(b"{"),
    ],
    ids=["gone", "empty", "cut", "no marker", "marker cut"],
)
def test_done_means_every_file_whole(tmp_path, spoil):
    finish(tmp_path / "case", {"a.json": b"[1]", "b.txt": b"2"})
    assert is_complete(tmp_path / "case", ["a.json"]) and not is_complete(tmp_path / "case", ["c.json"])
    spoil(tmp_path / "case")
    assert not is_complete(tmp_path / "case")


@pytest.mark.parametrize("content", [None, b"", b'{"half'])
def test_a_damaged_result_is_made_again(tmp_path, content):
    finish(tmp_path / "case", {"a.json": b"[1]", "b.txt": b"2"})
    (tmp_path / "case" / "a.json").unlink()
    if content is not None:
        (tmp_path / "case" / "a.json").write_bytes(content)
    finish(tmp_path / "case", {"a.json": b"[2]"})
    assert is_complete(tmp_path / "case") and set(tree(tmp_path / "case")) == {"a.json", MARKER}


# --- single files ----------------------------------------------------------------------------------------------------


def test_what_a_killed_run_left_of_a_file_goes(tmp_path):
    """Killed while it wrote the file, or, when that was there, its list."""
    write_output(tmp_path / "a.txt", b"1")
    whole, theirs = tree(tmp_path), tmp_path / ".0123abcd.unfinished.b.txt"
    theirs.write_bytes(b"of another run, which may be at work")
    for name in ("a.txt", MARKER):
        (tmp_path / f".0123abcd.unfinished.{name}").write_bytes(b"half")
    list_files(tmp_path, {"a.txt": None})
    write_output(tmp_path / "a.txt", b"1")
    assert tree(tmp_path) == whole | {theirs.name: theirs.read_bytes()}


def test_a_file_of_ours(tmp_path):
    path = tmp_path / "new" / "mask.nii"
    write_output(path, b"1")
    write_output(path, b"1")  # the same again is no change
    with pytest.raises(InputError, match="mask.nii: is there already, with other content; .*--overwrite"):
        write_output(path, b"2")
    write_output(path, b"2", overwrite=True)
    assert path.read_bytes() == b"2" and set(written_files(tmp_path / "new")) == {"mask.nii"}


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_of_somebody_else(tmp_path, overwrite):
    path = tmp_path / "mask.nii"
    path.write_bytes(b"drawn by hand")
    for content in (b"1", b"drawn by hand"):
        with pytest.raises(InputError, match="mask.nii: is there already and was not written by mededit"):
            write_output(path, content, overwrite)
    assert tree(tmp_path) == {"mask.nii": b"drawn by hand"}


def test_our_file_changed_by_hand(tmp_path):
    path = tmp_path / "mask.json"
    write_output(path, b"[1]")
    path.write_bytes(b"[1, 2]")
    with pytest.raises(InputError, match="was changed after mededit wrote it"):
        write_output(path, b"[3]")
    assert path.read_bytes() == b"[1, 2]"


@pytest.mark.parametrize("kind", ["itself", "link", "hard link", "through a folder's link", "folder"])
def test_an_output_over_an_input(tmp_path, kind):
    scan = tmp_path / "data" / "T1.nii"
    scan.parent.mkdir()
    scan.write_bytes(b"scan")
    place = tmp_path / "out.nii"
    if kind == "itself":
        place = scan
    elif kind == "link":
        place.symlink_to(scan)
    elif kind == "hard link":
        place.hardlink_to(scan)
    elif kind == "through a folder's link":
        (tmp_path / "linked").symlink_to(scan.parent)
        place = tmp_path / "linked" / "T1.nii"
    else:
        place = scan.parent
    with pytest.raises(InputError, match="would be written over the input"):
        require_apart(place, [scan])
    if kind != "folder":
        with pytest.raises(InputError):
            write_output(place, b"x", True, [scan])
    assert scan.read_bytes() == b"scan"


def test_a_single_file_of_ours_goes_with_its_marker(tmp_path):
    write_output(tmp_path / "failed.json", b"[]")
    (tmp_path / "other.json").write_bytes(b"[]")
    remove_listed_file(tmp_path / "other.json")
    remove_listed_file(tmp_path / "failed.json")
    assert tree(tmp_path) == {"other.json": b"[]"}


# --- folders that many write to --------------------------------------------------------------------------------------


def test_names_are_reserved_once_and_known_afterwards(tmp_path):
    folder = OutputFolder(tmp_path / "out")
    folder.reserve(["model.pt", "logs/a.txt"])
    (tmp_path / "out" / "model.pt").write_bytes(b"w")
    (tmp_path / "out" / "mine.txt").write_bytes(b"a user's, and in nobody's way")
    OutputFolder(tmp_path / "out").reserve(["model.pt", "history.csv"])
    assert {"model.pt", "history.csv"} <= set(written_files(tmp_path / "out"))


@pytest.mark.parametrize("there", ["model.pt", "logs/a.txt"])
def test_a_users_file_under_a_reserved_name(tmp_path, there):
    place = tmp_path / "out" / there
    place.parent.mkdir(parents=True)
    place.write_bytes(b"trained for a week")
    with pytest.raises(InputError, match=f"{there}: is there already and was not written by mededit"):
        OutputFolder(tmp_path / "out").reserve(["model.pt", "logs/a.txt"])
    assert tree(tmp_path) == {f"out/{there}": b"trained for a week"}


@pytest.mark.parametrize("place", ["file", "file/sub"])
def test_a_file_where_the_folder_should_be(tmp_path, place):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="file: is a file, wanted a folder"):
        OutputFolder(tmp_path / place).reserve(["a"])
    assert tree(tmp_path) == {"file": b"x"}


def test_removing_takes_listed_files_only(tmp_path):
    finish(tmp_path / "case", {"a.txt": b"1", "sub/b.txt": b"2"})
    (tmp_path / "case" / "sub" / "notes.txt").write_bytes(b"irreplaceable")
    remove_listed(tmp_path / "case")
    assert tree(tmp_path) == {"case/sub/notes.txt": b"irreplaceable"}


def test_files_that_have_gone_leave_the_list(tmp_path):
    list_files(tmp_path, {"a": None, "b": "0"})
    (tmp_path / "b").write_bytes(b"")
    list_files(tmp_path, {"c": None})
    assert set(written_files(tmp_path)) == {"b", "c"}


# --- atomic writing --------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(OSError, match="No space"), replacing(path) as unfinished:
        unfinished.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert json.loads(path.read_bytes()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"

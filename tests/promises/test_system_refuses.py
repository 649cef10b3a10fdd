# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the operating system refuses, at whatever moment: one sentence, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import gzip
import os
import resource
from pathlib import Path

import pytest
from conftest import write_head
from promises.verbs import mededit, tree  # noqa: F401

from mededit_monai.handlers import edit_previews, edit_writer
from mededit_monai.io import atomic, finished, outputs


@pytest.fixture()
def head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_head(tmp_path / "head")


def edit(head, *more: object, out: str = "out") -> tuple:
    return ("edit", "--scan", head.scan, "--pathology", head.pathology, "-o", out, "--slice_index", 10, *more)


def full(*arguments, **keywords):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/scan/some.file")


#: Where writing fails: every kind of file of a result, its list, and the moment when it is put in place.
MOMENTS = {
    "volume": (edit_writer.NativeCopy, "save"),
    "slice, region": (edit_writer, "save_synthetic"),
    "picture": (edit_previews, "save_preview"),
    "provenance": (edit_writer, "write_provenance"),
    "marker": (outputs, "write_json"),
    "renaming": (finished.os, "rename"),
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "moment", [pytest.param(m, marks=pytest.mark.slow if m in ("slice, region", "picture") else ()) for m in MOMENTS]
)
@pytest.mark.parametrize("before", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_full_disk_in_the_middle_of_an_edit(head, mededit, monkeypatch, moment, before):  # noqa: F811
    if before:
        assert mededit(*edit(head)).code == 0
    old = tree(Path())
    with monkeypatch.context() as patch:
        patch.setattr(*MOMENTS[moment], full)
        done = mededit(*edit(head, "--seed", 4))
    assert done.refused("out/scan/some.file: no space left on device"), done.said
    assert tree(Path()) == old and (before or not Path("out").exists())
    assert mededit(*edit(head, "--seed", 4)).code == 0


def test_a_limit_on_the_size_of_files(head, mededit):  # noqa: F811
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        done = mededit(*edit(head))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.refused("file too large", "ulimit", "out/scan/") and not Path("out").exists()
    assert "unfinished" not in done.err


@pytest.mark.parametrize("out", ["head/scan.nii.gz", "head/scan.nii.gz/sub", "/proc/nope", "/dev/null", "x" * 300])
def test_an_output_folder_that_cannot_be(head, mededit, out):  # noqa: F811
    before = tree(Path())
    done = mededit(*edit(head, out=out))
    assert done.code == 2 and "Traceback" not in done.said and done.err.count("mededit: ") == 1, done.said
    assert tree(Path()) == before


@pytest.mark.one_in(3)
@pytest.mark.parametrize("option", ["scan", "pathology", "brain", "region", "weights", "datalist"])
@pytest.mark.parametrize(
    "kind", ["absent", "folder", "empty", "cut", "checksum", "text", "loop of links", "dangling link", "device"]
)
def test_every_file_that_cannot_be_read(head, mededit, option, kind):  # noqa: F811
    place = Path("given.nii.gz")
    good = gzip.compress(gzip.decompress(head.brain.read_bytes()))
    if kind == "folder":
        place.mkdir()
    elif kind == "loop of links":
        place.symlink_to(place)
    elif kind == "dangling link":
        place.symlink_to("nowhere")
    elif kind == "device":
        place = Path("/dev/null")
    elif kind != "absent":
        content = {"empty": b"", "cut": good[:-4], "checksum": good[:-6] + b"\1\2" + good[-4:], "text": b"hello"}[kind]
        place.write_bytes(content)
    words = {"scan": head.scan, "pathology": head.pathology, option: place}
    if option == "datalist":
        words = {"datalist": place}
    method = ("--method", "mededit") if option == "region" else ()  # morph finds its own
    done = mededit("edit", *(w for k, v in words.items() for w in (f"--{k}", v)), *method, "-o", "out")
    assert done.code == 2 and "Traceback" not in done.said and done.err.count("mededit: ") == 1, done.said
    assert str(place) in done.err and not Path("out").exists()


def test_a_fault_of_ours_is_one_sentence_and_a_file(head, mededit, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(edit_previews, "save_preview", lambda *a, **k: {}["a fault of ours"])
    done = mededit(*edit(head))
    (place,) = (tmp_path / "cache" / "faults").iterdir()
    assert done.code == 1 and str(place) in done.err and "Traceback" not in done.said and not Path("out").exists()
    assert "KeyError: 'a fault of ours'" in place.read_text() and "mededit edit" in place.read_text()


def test_ctrl_c_in_the_middle(head, mededit, monkeypatch):  # noqa: F811
    def pressed(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(edit_previews, "save_preview", pressed)
    done = mededit(*edit(head))
    assert done.code == 130 and "interrupted" in done.err and "Traceback" not in done.said and not Path("out").exists()


def test_a_json_file_is_whole_or_the_one_before(tmp_path, monkeypatch):
    atomic.write_json(tmp_path / "a.json", [1])
    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write_json(tmp_path / "a.json", [2])
    assert tree(tmp_path) == {"a.json": b"[\n 1\n]\n"}

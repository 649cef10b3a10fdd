# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: run twice and with other options, but never over somebody's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Head

from mededit_monai import demo
from mededit_monai.io.case_names import owner_of
from mededit_monai.io.finished import finished_folder


@pytest.fixture()
def start(monkeypatch, head, capsys):
    """Run the module's command line with an editor that only notes what it was given; returns code and stderr."""
    monkeypatch.setattr(demo, "template_bytes", head.scan.read_bytes)
    asked: list[tuple[str, str]] = []

    def edit(scan, pathology, output_dir, brain=None, progress=False, overwrite=False):
        asked.append((scan, Path(pathology).read_bytes()))
        folder = output_dir / Path(scan).name.removesuffix(".nii.gz")
        if folder.exists():
            return []
        with finished_folder(folder, scan=owner_of(scan)) as unfinished:
            (unfinished / "preview.png").write_bytes(f"preview of {Path(scan).name}".encode())
        return [folder]

    monkeypatch.setattr("mededit_monai.workflows.edit", edit)

    def run(*words) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["demo", *map(str, words)])
        try:
            demo.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.err or captured.out

    run.asked = asked
    return run


@pytest.mark.slow
def test_twice_and_with_other_options(start, head: Head, tmp_path):
    out = tmp_path / "demo"
    for _ in range(2):
        code, said = start("--output_dir", out, "--picture", tmp_path / "p" / "p.png")
        assert code == 0 and f"{out / 'icbm152_T1'}/" in said
    first = (out / "lesion.nii.gz").read_bytes()
    assert start("--output_dir", out, "--scan", head.scan, "--brain", head.brain)[0] == 0
    assert [scan for scan, _ in start.asked] == [str(out / "icbm152_T1.nii.gz")] * 2 + [str(head.scan)]
    assert (out / "lesion.nii.gz").read_bytes() == first and (tmp_path / "p/p.png").read_bytes()[:7] == b"preview"
    assert start("--output_dir", out, "--picture", tmp_path / "p/p.png", "--scan", head.scan)[0] == 0
    assert (tmp_path / "p/p.png").read_bytes() == b"preview of scan.nii.gz"


@pytest.mark.parametrize("name", ["icbm152_T1.nii.gz", "lesion.nii.gz", "p.png"])
def test_never_over_somebodys_file(start, tmp_path, name):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / name).write_bytes(b"mine")
    code, said = start("--output_dir", tmp_path / "demo", "--picture", tmp_path / "demo/p.png")
    assert code == 2 and f"{name}: is there already and was not written by mededit" in said
    assert [p.read_bytes() for p in (tmp_path / "demo").iterdir()] == [b"mine"] and not start.asked


def test_never_over_a_lesion_that_was_drawn_on(start, head: Head, tmp_path):
    assert start("--output_dir", tmp_path / "demo")[0] == 0
    lesion = tmp_path / "demo/lesion.nii.gz"
    drawn = lesion.read_bytes()
    lesion.write_bytes(head.pathology.read_bytes())
    code, said = start("--output_dir", tmp_path / "demo")
    assert code == 2 and "was changed after mededit wrote it" in said
    assert lesion.read_bytes() == head.pathology.read_bytes()
    assert start("--output_dir", tmp_path / "demo", "--overwrite")[0] == 0 and lesion.read_bytes() == drawn


def test_home_is_expanded(start, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert start("--output_dir", "~/demo", "--picture", "~/p.png")[0] == 0
    assert (tmp_path / "demo/lesion.nii.gz").is_file() and (tmp_path / "p.png").is_file()


def test_a_lesion_needs_its_scan(start, tmp_path):
    code, said = start("--pathology", "x.nii.gz", "--output_dir", tmp_path / "demo")
    assert code == 2 and "--pathology: was given without --scan" in said and not (tmp_path / "demo").exists()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Full disks, mad numbers, two runs at once, killed runs and people's habits, for every verb that makes data."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from simulation.verbs import FOLDERS, VERBS, content, place_of, refused, run, write_inputs

from mededit_monai.core.program import exit_code
from mededit_monai.io.claims import claim
from mededit_monai.simulation.drawing import draw_lesion


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def cohort(inputs, tmp_path_factory) -> Path:
    """Of ``simulate``, for ``pairs``."""
    return run("simulate", inputs, tmp_path_factory.mktemp("cohort") / "c").datalist.parent


@pytest.fixture(scope="module", params=VERBS)
def whole(request, inputs, cohort, tmp_path_factory) -> tuple[str, dict]:
    """A verb, and the files that it writes when nothing happens."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(request.param, inputs, out, cohort)
    return request.param, content(out)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("call, after", [("replace", 0), ("replace", 4), ("rename", 1), ("write", 5)])
def test_a_full_disk_leaves_nothing_half_written(inputs, cohort, whole, tmp_path, monkeypatch, capsys, call, after):
    out, left, (verb, wanted) = tmp_path / "out", [after], whole
    owner, name = (Path, "write_bytes") if call == "write" else (os, call)
    original = getattr(owner, name)

    def full(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            return original(*arguments)
        if call == "write":
            original(arguments[0], arguments[1][:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    monkeypatch.setattr(owner, name, full)
    try:
        run(verb, inputs, out, cohort)
        ended = None
    except OSError as error:
        ended = error
    monkeypatch.setattr(owner, name, original)
    if left[0] >= 0:  # this verb makes fewer calls
        assert ended is None
        return
    assert exit_code(ended) == 2 and capsys.readouterr().err.count("no space left on device") == 1
    assert not [p for p in tmp_path.rglob("*") if "unfinished" in p.name or p.name == ".mededit.runs"]
    run(verb, inputs, out, cohort)
    if verb != "pairs":  # whose list names where it lies
        assert content(out) == wanted


@pytest.mark.parametrize(
    "verb, options, words",
    [
        ("simulate", {"cases": 0}, "--cases: got 0, wanted a whole number of at least 1"),
        ("simulate", {"cases": 10**9}, "--cases: got 1000000000, wanted at most 10000000"),
        ("simulate", {"cases": 2.5}, "--cases: got 2.5, wanted a whole number"),
        ("simulate", {"seed": -1}, "--seed: got -1"),
        ("simulate", {"seed": 2**63}, "--seed: got 9223372036854775808, wanted at most"),
        ("simulate", {"workers": 0}, "--workers: got 0"),
        ("simulate", {"workers": 10**6}, "--workers: got 1000000, wanted at most 256"),
        ("simulate", {"anatomies": ""}, "--anatomies: got '', wanted the path of a folder"),
        ("simulate", {"lesions": 5}, "--lesions: got 5, wanted the path of a folder"),
        ("dataset", {"workers": 257}, "--workers: got 257, wanted at most 256"),
        ("dataset", {"validation": float("nan")}, "--validation: got nan"),
        ("dataset", {"validation": float("inf")}, "--validation: got inf"),
        ("dataset", {"seed": 2**70}, "--seed: got"),
        ("lesion", {"radius": float("nan")}, "--radius: got nan, wanted a positive number of mm, from 0.1 to 200"),
        ("lesion", {"radius": float("inf")}, "--radius: got inf"),
        ("lesion", {"radius": 1e9}, "--radius: got 1000000000.0"),
        ("lesion", {"radius": 1e-9}, "--radius: got 1e-09"),
        ("lesion", {"radius": "wide"}, "--radius: got wide"),
        ("lesion", {"centre": (float("nan"), 0, 0)}, "--centre: got (nan, 0, 0), wanted three numbers"),
        ("lesion", {"centre": (0, 0, 1e30)}, "--centre: got (0, 0, 1e+30)"),
        ("lesion", {"centre": (0, 0)}, "--centre: got (0, 0)"),
        ("lesion", {"seed": -2}, "--seed: got -2"),
        ("lesion", {"output": "{o}/lesion.png"}, "lesion.png', wanted a name that ends in .nii or .nii.gz"),
        ("pairs", {"per_mask": 0}, "--per_mask: got 0"),
        ("pairs", {"seed": 1.5}, "--seed: got 1.5"),
    ],
)
def test_mad_options(inputs, cohort, tmp_path, verb, options, words):
    options = {k: v.format(o=tmp_path) if isinstance(v, str) else v for k, v in options.items()}
    refused(words, verb, inputs, tmp_path / "out", cohort, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_home_is_expanded(inputs, cohort, tmp_path, monkeypatch, verb):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "i").symlink_to(inputs)
    (tmp_path / "c").symlink_to(cohort)
    monkeypatch.chdir(tmp_path)
    run(verb, "~/i", "~/out", Path("~/c"))
    assert all(place.is_file() for place in place_of(verb, tmp_path / "out")) and not Path("~").exists()


@pytest.mark.parametrize("verb", FOLDERS)
def test_two_runs_at_once(inputs, tmp_path, verb):
    with claim(tmp_path / "out"):
        refused("another run is writing it", verb, inputs, tmp_path / "out")
        assert not [name for name in content(tmp_path / "out") if ".mededit.runs" not in name]
    assert not (tmp_path / "out").exists()
    run(verb, inputs, tmp_path / "out")


@pytest.mark.slow
def test_names_in_capitals(inputs, tmp_path):
    for name in ("anatomies", "head"):
        (tmp_path / name).mkdir()
    shutil.copy(inputs / "anatomies/brain_0.nii.gz", tmp_path / "anatomies/BRAIN_0.NII.GZ")
    shutil.copy(inputs / "head/scan.nii.gz", tmp_path / "head/SCAN.NII.GZ")
    run("simulate", tmp_path, tmp_path / "out")
    listed = json.loads((tmp_path / "out/cohort.json").read_text())
    assert listed["anatomies"]["training"] == ["BRAIN_0"]
    draw_lesion(tmp_path / "head/SCAN.NII.GZ", tmp_path / "LESION.NII.GZ", radius=8)
    draw_lesion(inputs / "head/scan.nii.gz", tmp_path / "lesion.nii.gz", radius=8)
    assert (tmp_path / "LESION.NII.GZ").read_bytes() == (tmp_path / "lesion.nii.gz").read_bytes()


def test_damaged_inputs(inputs, tmp_path):
    shutil.copytree(inputs, tmp_path / "i")
    for name in ("anatomies/brain_0.nii.gz", "head/scan.nii.gz", "lesions/lesion_1.nii.gz"):
        flipped = bytearray((tmp_path / "i" / name).read_bytes())
        flipped[-6] ^= 1  # in the checksum, which readers of images do not look at
        (tmp_path / "i" / name).write_bytes(flipped)
    refused("brain_0.nii.gz: is truncated or damaged", "simulate", tmp_path / "i", tmp_path / "out")
    refused("scan.nii.gz: is truncated or damaged", "lesion", tmp_path / "i", tmp_path / "out")
    given = {"anatomies": f"{inputs}/anatomies", "lesions": f"{tmp_path}/i/lesions"}
    refused("lesion_1.nii.gz: is truncated or damaged", "simulate", inputs, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb, folder", [("simulate", "training_00000"), ("dataset", "cases")])
def test_what_a_killed_run_left_goes(inputs, tmp_path, verb, folder):
    out = tmp_path / "out"
    run(verb, inputs, out)
    before = content(out)
    (out / FOLDERS[verb][0]).unlink()
    (out / folder / ".0123abcd.unfinished.image.nii").write_bytes(b"half")
    if verb == "dataset":
        (out / "cases" / ".case.0123abcd.unfinished").mkdir()
        shutil.copytree(out / "cases/sub-r001s002_z004", out / "cases/.sub-r001s002_z004.0123abcd.old")
    run(verb, inputs, out)
    assert content(out) == before

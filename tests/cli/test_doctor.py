# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit doctor`: what it asks, what it says of what is broken, and that it leaves nothing behind."""

from __future__ import annotations

import configparser
import hashlib
import json
import shutil
import subprocess
import tempfile

import pytest
from promises.verbs import mededit  # noqa: F401
from released_bundle import write_released

from mededit_monai import doctor
from mededit_monai.doctor import examine
from mededit_monai.io.checksums import checksums, weights_states
from studies.write_checksums import lists, weight_folders

NAMES = ["versions", "torch", "memory", "disk", "folders", "weights", "edit"]


def test_all_is_well_and_nothing_is_left(tmp_path, monkeypatch, mededit):  # noqa: F811
    for name in ("here", "temporary", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    done = mededit("doctor", "--json")
    assert done.code == 0 and done.err == "", done.said
    found = json.loads(done.out)
    assert found["works"] is True and [one["name"] for one in found["checks"]] == NAMES
    facts = {one["name"]: one["facts"] for one in found["checks"]}
    assert facts["edit"]["voxels_changed"] > 100 and facts["versions"]["versions"]["torch"]
    assert set(facts["weights"]["weights"]) == {"stroke", "tumor", "semantic_synthesis", "judges"}
    assert not [place for place in tmp_path.rglob("*") if place.parent != tmp_path]


def test_one_line_a_question_and_exit_code_1_if_one_failed(monkeypatch, mededit):  # noqa: F811
    def broken():
        raise RuntimeError("no such thing")

    def answer(state):
        return lambda: (state, "said", {"n": 1})

    monkeypatch.setattr(doctor, "QUESTIONS", {"a": answer("ok"), "b": answer("warning")})
    done = mededit("doctor")
    assert done.code == 0 and done.out == "ok       a: said\nwarning  b: said\n"
    monkeypatch.setattr(doctor, "QUESTIONS", {"b": broken, "c": answer("ok")})
    done = mededit("doctor")
    assert done.code == 1 and done.out == "failed   b: RuntimeError: no such thing\nok       c: said\n"
    assert json.loads(mededit("doctor", "--json").out)["works"] is False


def test_weights_that_are_not_those_declared(tmp_path):
    for name in ("same", "other", "gone", "new"):
        (tmp_path / f"{name}.pt").write_bytes(name.encode())
    (tmp_path / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.pt\n" for name in ("same", "other", "gone"))
    )
    (tmp_path / "other.pt").write_bytes(b"changed")
    (tmp_path / "gone.pt").unlink()
    assert weights_states(tmp_path) == {
        "gone.pt": "absent",
        "new.pt": "has no checksum",
        "other.pt": "differs from its checksum",
        "same.pt": "ok",
    }


def test_weights_that_are_released_apart(tmp_path, monkeypatch):
    models = write_released(tmp_path / "toy") / "models"
    assert weights_states(models) == {"model.pt": "ok", "palette.pt": "ok"}
    (models / "palette.pt").unlink()
    assert weights_states(models) == {"model.pt": "ok", "palette.pt": "released apart"}
    monkeypatch.setattr(doctor, "bundle_homes", lambda: [tmp_path])
    monkeypatch.setattr(doctor, "QUESTIONS", {"weights": doctor.QUESTIONS["weights"]})
    (found,) = examine()
    assert found.state == "ok" and found.said.startswith("toy 1 files (1 more in a release)")


@pytest.mark.parametrize("damage, state", [("changed", "failed"), ("new", "warning"), (None, "ok")])
def test_what_wrong_weights_come_to(tmp_path, monkeypatch, damage, state):
    models = tmp_path / "toy" / "models"
    (tmp_path / "toy" / "configs").mkdir(parents=True)
    models.mkdir()
    (models / "a.pt").write_bytes(b"a")
    (models / "SHA256SUMS").write_text(checksums(models))
    if damage:
        (models / ("a.pt" if damage == "changed" else "b.pt")).write_bytes(b"b")
    monkeypatch.setattr(doctor, "bundle_homes", lambda: [tmp_path])
    monkeypatch.setattr(doctor, "QUESTIONS", {"weights": doctor.QUESTIONS["weights"]})
    (found,) = examine()
    assert found.state == state and ("toy/" in found.said) is (damage is not None)


@pytest.mark.parametrize("folder", weight_folders(), ids=lambda folder: "/".join(folder.parts[-2:]))
def test_the_lists_of_checksums_are_current(folder):
    """Else: python -m studies.write_checksums."""
    assert {place: place.read_text() for place in lists(folder)} == lists(folder)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="not on this machine")
def test_the_usual_program_reads_them(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"a")
    (tmp_path / "SHA256SUMS").write_text(checksums(tmp_path))
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True).returncode == 0


@pytest.mark.parametrize("name, free, state", [("memory", 1 << 40, "ok"), ("memory", 1 << 20, "warning")])
def test_little_memory_is_warned_of(monkeypatch, name, free, state):
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": free}))
    monkeypatch.setattr(doctor, "QUESTIONS", {name: doctor.QUESTIONS[name]})
    assert [one.state for one in examine()] == [state]


def test_a_cache_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "closed" / "cache"))
    (tmp_path / "closed").mkdir()
    real = doctor.os.access
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: place != tmp_path / "closed" and real(place, mode))
    monkeypatch.setattr(doctor, "QUESTIONS", {"folders": doctor.QUESTIONS["folders"]})
    (found,) = examine()
    assert found.state == "failed" and "closed/cache cannot be written to" in found.said


def test_an_edit_that_is_somewhere_else_has_failed(monkeypatch):
    """As where a library of the installation computes nonsense: here the lesion is not where the head has it."""
    scan, pathology = doctor._small_head()
    answers = [(scan, pathology)]
    monkeypatch.setattr(doctor, "_small_head", lambda: answers[0])
    monkeypatch.setattr("mededit_monai.workflows.edit", lambda *given, **options: _unchanged(given))
    monkeypatch.setattr(doctor, "QUESTIONS", {"edit": doctor.QUESTIONS["edit"]})
    (found,) = examine()
    assert found.state == "failed" and "not where the lesion is" in found.said


def _unchanged(given) -> list:
    out = given[2] / "scan"
    out.mkdir(parents=True)
    shutil.copy(given[0], out / "edited.nii.gz")
    shutil.copy(given[1], out / "edit_region.nii.gz")
    return [out]


def test_the_packages_asked_for_are_those_that_are_required(repository):
    parser = configparser.ConfigParser()
    parser.read(repository / "setup.cfg")
    required = {line.partition(">")[0] for line in parser["options"]["install_requires"].split() if line}
    assert set(doctor.PACKAGES) - {"mededit_monai"} <= required

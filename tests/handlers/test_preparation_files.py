# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A prepared scan's folder is its own, whoever else writes beside it; a folder of DICOM is prepared as a file is."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from image_files import write_dicom

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import preparation_files
from mededit_monai.handlers.preparation_files import prepare_scan
from mededit_monai.io.claims import claim
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.prepare import preparation
from mededit_monai.prepare.preparation import Preparation
from mededit_monai.prepare.register import Registration

#: A head of 30 slices of 4 mm: no slab.
HEAD = {"shape": (60, 75, 30), "spacing": (2.7, 2.7, 4.0)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Stand in for the searches: the head lies as the template does, and has no bias field."""
    pose = np.eye(4)
    monkeypatch.setattr(preparation, "registered", lambda *_: Registration(pose, pose, np.eye(3), 0.9, 0.95))
    monkeypatch.setattr(preparation, "bias_field", lambda data, *_: np.ones_like(data))


def subject(root: Path, name: str) -> dict[str, Path]:
    """``<name>/T1.nii.gz`` and its brain mask."""
    head = write_head(root / name, **HEAD)
    return {"scan": head.scan.rename(head.scan.with_name("T1.nii.gz")), "brain": head.brain}


def subjects_in(out: Path) -> dict[str, str]:
    """Folder → the subject whose result is in it."""
    made = {one.name: json.loads((one / "provenance.json").read_bytes()) for one in out.iterdir()}
    return {name: Path(facts["files"]["scan"]).parent.name for name, facts in made.items()}


def while_computing(monkeypatch, event) -> None:
    """Have something happen once, at the end of the first preparation's computing."""
    of, events = Preparation.of, [event]

    def slow(*arguments):
        found = of(*arguments)
        if events:
            events.pop()()
        return found

    monkeypatch.setattr(Preparation, "of", slow)


def test_a_scan_of_the_same_name_that_was_faster(tmp_path, monkeypatch):
    first, second, out = subject(tmp_path, "sub-01"), subject(tmp_path, "sub-02"), tmp_path / "out"
    while_computing(monkeypatch, lambda: prepare_scan(second["scan"], out, second["brain"]))
    folder, _ = prepare_scan(first["scan"], out, first["brain"])
    assert subjects_in(out) == {"T1": "sub-02", "sub-01_T1": "sub-01"} and folder.name == "sub-01_T1"


def test_two_at_once(tmp_path):
    names, out, folders = ("sub-01", "sub-02"), tmp_path / "out", []
    given = [subject(tmp_path, name) for name in names]
    together = threading.Barrier(2)

    def prepare(one):
        together.wait()
        folders.append(prepare_scan(one["scan"], out, one["brain"])[0].name)

    threads = [threading.Thread(target=prepare, args=(one,)) for one in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = subjects_in(out)
    assert sorted(found.values()) == list(names) and sorted(found) == sorted(folders) and "T1" in found


def test_a_run_that_goes_on_under_the_name(tmp_path, monkeypatch):
    """It is waited for, but not for ever."""
    monkeypatch.setattr(preparation_files, "WAIT", 0.3)
    one, out = subject(tmp_path, "sub-01"), tmp_path / "out"
    with claim(out, ["T1"]), pytest.raises(InputError, match="T1: another run is writing it"):
        prepare_scan(one["scan"], out, one["brain"])
    assert not out.exists()
    assert prepare_scan(one["scan"], out, one["brain"])[0] == out / "T1"


def test_a_folder_of_dicom(tmp_path):
    head = write_head(tmp_path / "head", **HEAD)
    image = nib.load(head.scan)
    scan = write_dicom(tmp_path / "dicom", np.asarray(image.dataobj), image.affine)
    folder, _ = prepare_scan(scan, tmp_path / "out", head.brain)
    facts = json.loads((folder / "provenance.json").read_bytes())
    assert facts["inputs"] == {"scan": image_sha256(scan), "brain": image_sha256(head.brain)}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The program as a process, and the verbs that are smaller than a file of tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from promises.verbs import mededit  # noqa: F401


def program(*words: str, cwd=None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mededit_monai.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in ("edit", "train", "lesion", "info"))])
def test_help_has_an_example(words):
    done = program(*words)
    assert done.returncode == 0 and "Example: mededit" in done.stdout


def test_help_is_quick():
    times = []
    for _ in range(3):
        started = time.perf_counter()
        program("--help")
        times.append(time.perf_counter() - started)
    assert min(times) < 1.0


def test_unknown_option_is_refused_with_the_nearest():
    done = program("edit", "--resampel", "4")
    assert done.returncode == 2 and "--resample" in done.stderr


def test_edit_with_hyphens_and_json(head, tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    files = ("--scan", head.scan, "--pathology", head.pathology, "--slice-index", "auto")
    done = mededit("edit", *files, "--steps", "2", "--output-dir", "out", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["written"] == ["out/scan"] and result["synthetic"] is True
    assert (tmp_path / "out" / "scan" / "preview.png").is_file()


def test_bad_input_is_one_sentence(tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    done = mededit("edit", "--scan", "none.nii.gz", "--pathology", "none.nii.gz")
    assert done.code == 2 and done.err.startswith("mededit: none.nii.gz: not found") and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_lesion_is_drawn_inside_the_brain(head, tmp_path, mededit):  # noqa: F811
    done = mededit("lesion", "--scan", head.scan, "--radius", "10", "-o", tmp_path / "l.nii.gz", "--json")
    assert done.code == 0, done.err
    mask, brain = nib.load(tmp_path / "l.nii.gz"), nib.load(head.brain).get_fdata() > 0
    assert np.allclose(mask.affine, head.image.affine)
    inside = mask.get_fdata() > 0
    assert inside.sum() == json.loads(done.out)["voxels"] and not inside[~brain].any()
    assert inside.sum() * 16 == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.5)


def test_info_names_the_weights(mededit):  # noqa: F811
    facts = json.loads(mededit("info", "--json").out)
    assert facts["bundle"] == "stroke" and len(facts["weights"]["model.pt"]) == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--progress", "false"), ("false: is not an option with a value", "A switch takes no value: --no_progress.")),
        (("--max_epochs", "1", "more"), ("more: is not an option with a value", "are given as --name value.")),
        (("--train#trainer#amp",), ("--train#trainer#amp: is not an option with a value",)),
    ],
)
def test_train_refuses_words_that_are_no_options(words, said, tmp_path, mededit):  # noqa: F811
    done = mededit("train", "-o", str(tmp_path / "out"), *words)
    assert done.refused(*said) and ("switch" in done.err) is (words[-1] == "false")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("there", "said"), [(("model.pt", "model_last.pt"), "model.pt"), (("model_last.pt",), "model_last.pt")]
)
def test_train_names_weights_that_are_there(there, said, tmp_path, monkeypatch, mededit):  # noqa: F811
    for name in there:
        (tmp_path / name).touch()
    monkeypatch.setattr("mededit_monai.workflows.train", lambda *_, **__: tmp_path)
    assert f": weights {said}, curves" in mededit("train", "-o", str(tmp_path)).out
    assert json.loads(mededit("train", "-o", str(tmp_path), "--json").out)["weights"] == str(tmp_path / said)

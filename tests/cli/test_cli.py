# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest


def mededit(*words: str, cwd=None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mededit_monai.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in ("edit", "train", "lesion", "info"))])
def test_help_has_an_example(words):
    done = mededit(*words)
    assert done.returncode == 0 and "Example: mededit" in done.stdout


def test_help_is_quick():
    times = []
    for _ in range(3):
        started = time.perf_counter()
        mededit("--help")
        times.append(time.perf_counter() - started)
    assert min(times) < 1.0


def test_unknown_option_is_refused_with_the_nearest():
    done = mededit("edit", "--resampel", "4")
    assert done.returncode == 2 and "--resample" in done.stderr


def test_edit_with_hyphens_and_json(head, tmp_path):
    done = mededit(
        *("edit", "--scan", str(head.scan), "--pathology", str(head.pathology), "--slice-index", "auto"),
        *("--steps", "2", "--resample", "1", "--output-dir", "out", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["written"] == ["out/scan"] and result["synthetic"] is True
    assert (tmp_path / "out" / "scan" / "preview.png").is_file()


def test_bad_input_is_one_sentence(tmp_path):
    done = mededit("edit", "--scan", "none.nii.gz", "--pathology", "none.nii.gz", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("mededit: none.nii.gz: not found")
    assert not list(tmp_path.iterdir())


def test_lesion_is_drawn_inside_the_brain(head, tmp_path):
    done = mededit("lesion", "--scan", str(head.scan), "--radius", "10", "-o", str(tmp_path / "l.nii.gz"), "--json")
    assert done.returncode == 0, done.stderr
    mask, brain = nib.load(tmp_path / "l.nii.gz"), nib.load(head.brain).get_fdata() > 0
    assert np.allclose(mask.affine, head.image.affine)
    inside = mask.get_fdata() > 0
    assert inside.sum() == json.loads(done.stdout)["voxels"] and not inside[~brain].any()
    assert inside.sum() * 16 == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.5)


def test_info_names_the_weights():
    facts = json.loads(mededit("info", "--json").stdout)
    assert facts["bundle"] == "stroke" and len(facts["weights"]["model.pt"]) == 64

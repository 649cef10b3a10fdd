# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A method with an option of its own from one file outside the package, by every way that its users take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.networks.schedulers import DDPMScheduler
from plugins.loading import loaded
from promises.verbs import mededit  # noqa: F401

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.methods.build import build_editor

PLUGIN = Path(__file__).with_name("toy_method.py")
PIXEL = 233 / 128  # of the stroke model: slices on its own grid, in [0, 1], are taken as they are
LESION = (slice(40, 52), slice(60, 70), slice(1, 3))


@pytest.fixture()
def brighten():
    with loaded(PLUGIN):
        yield


@pytest.fixture()
def files(tmp_path, monkeypatch) -> tuple[str, ...]:
    """A scan in model space, between 0.3 and 0.9, with a lesion in two of its slices."""
    monkeypatch.chdir(tmp_path)
    brain, lesion = (np.zeros((128, 128, 4), np.float32) for _ in range(2))
    brain[20:110, 15:115] = 1
    lesion[LESION] = 1
    scan = brain * np.random.default_rng(0).uniform(0.3, 0.9, brain.shape).astype(np.float32)
    for name, array in (("scan", scan), ("brain", brain), ("lesion", lesion)):
        nib.save(nib.Nifti1Image(array, np.diag([PIXEL, PIXEL, 5, 1])), f"{name}.nii.gz")
    return ("--scan", "scan.nii.gz", "--pathology", "lesion.nii.gz", "--brain", "brain.nii.gz")


def check(folder: Path, strength: float) -> None:
    """x + strength in the lesion, at most 1; elsewhere x bit for bit. What was asked is on record."""
    scan, edited, region = (
        np.asarray(nib.load(path).dataobj)
        for path in ("scan.nii.gz", folder / "edited.nii.gz", folder / "edit_region.nii.gz")
    )
    inside = np.zeros(scan.shape, bool)
    inside[LESION] = True
    wanted = np.minimum(scan.astype(float) + strength, 1)
    assert np.allclose(edited[inside], wanted[inside], rtol=0, atol=1e-6)
    assert strength > 0.5 or (wanted[inside] < 1).any()
    assert np.array_equal(edited[~inside], scan[~inside]) and np.array_equal(region > 0, inside)
    record = json.loads((folder / "provenance.json").read_bytes())
    assert record["options"]["method"] == "brighten" and record["options"]["strength"] == strength
    assert record["options"]["steps"] is None and record["options"]["sampler"] is None
    assert record["nfe"] == 0 and record["options"]["weights_sha256"] is None


def test_by_the_command(brighten, files, mededit):  # noqa: F811
    done = mededit("edit", *files, "--method", "brighten", "--strength", "0.4", "--json", "-o", "out")
    assert done.code == 0 and json.loads(done.out) == {"synthetic": True, "written": ["out/scan"]}
    check(Path("out/scan"), 0.4)
    again = mededit("edit", *files, "--method", "brighten", "--strength", "0.4", "-o", "out")
    assert again.code == 0 and "nothing to do" in again.out
    other = mededit("edit", *files, "--method", "brighten", "--strength", "0.3", "-o", "out")
    assert other.code == 0 and "nothing to do" not in other.out  # another strength is another edit
    check(Path("out/scan"), 0.3)


def test_from_python_and_by_default(brighten, files):
    scan, lesion, brain = files[1::2]
    (folder,) = edit(scan, lesion, "strong", brain=brain, method="brighten", strength=0.8)
    check(folder, 0.8)
    (folder,) = edit(scan, lesion, "plain", brain=brain, method="brighten")
    check(folder, 0.2)


def test_it_is_listed_with_its_option(brighten, mededit):  # noqa: F811
    text = " ".join(mededit("edit", "--help").out.split())
    assert "keeps the rest; brighten: " in text
    assert "--strength <float> How much brighter the lesion becomes" in text
    assert "(with --method brighten). [default: 0.2]" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--method brighten --strength 1.5", "--strength: got 1.5, wanted a number between 0 and 1."),
        ("--method brighten --strength nan", "--strength: got nan, wanted a number between 0 and 1."),
        ("--strength 0.4", "--strength: applies to --method brighten, not to morph; leave it out."),
        ("--method sdedit --strength 0.4", "--strength: applies to --method brighten, not to sdedit; leave it out."),
        ("--method brighten --steps 5", "--steps: got 5, which brighten cannot do; leave the option out"),
        ("--method brighten --sampler ddim", "--sampler: got 'ddim', which brighten cannot do; leave the option out"),
        ("--method brighten --eta 0.5", "--eta: got 0.5, which brighten cannot do; leave the option out"),
        ("--method brighten --region brain", "--region: applies to --method mededit; brighten has its own"),
        ("--method brighten --weights scan.nii.gz", "--weights: brighten asks no network; leave the option out."),
        ("--method brigten", "did you mean 'brighten'?"),
    ],
)
def test_what_is_refused(brighten, files, mededit, words, sentence):  # noqa: F811
    assert mededit("edit", *files, *words.split(), "-o", "out").refused(sentence)
    assert not Path("out").exists()


def test_an_option_that_is_no_number_or_misspelt(brighten, files, mededit):  # noqa: F811
    for words in (("--strength", "much"), ("--strenght", "0.4")):
        done = mededit("edit", *files, "--method", "brighten", *words)
        assert done.code == 2 and "--strength" in done.err and not Path("out").exists()


def test_its_editor_alone(brighten):
    """x in [-1, 1]; what the option cannot be is refused here too."""
    prior = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    lesion, brain = torch.zeros_like(prior), torch.ones_like(prior)
    lesion[..., 2:, :] = 1
    found = build_editor("brighten", DDPMScheduler(), strength=0.25)(prior, None, brain, lesion)
    assert torch.equal(found.image, torch.where(lesion > 0, (prior + 0.5).clamp(max=1), prior))
    assert torch.equal(found.region, lesion > 0) and found.evaluations == 0 and found.extras == {"strength": 0.25}
    with pytest.raises(InputError, match="--strength: got 2, wanted a number between 0 and 1"):
        build_editor("brighten", DDPMScheduler(), strength=2)
    with pytest.raises(InputError, match="--strength: applies to --method brighten, not to morph; leave it out"):
        build_editor("morph", DDPMScheduler(), "mask", strength=0.25)


def test_without_the_plugin(files, mededit):  # noqa: F811
    assert "brighten" not in mededit("edit", "--help").out
    assert mededit("edit", *files, "--method", "brighten").refused("--method: got 'brighten', wanted one of morph")
    assert mededit("edit", *files, "--strength", "0.4").code == 2
    with pytest.raises(InputError, match="--strength: unknown option"):
        edit(*files[1::2][:2], "out", strength=0.4)
    assert not Path("out").exists()


@pytest.mark.slow
def test_by_monais_own_command(files):
    """A process of its own, in which nothing but the variable says that there is a plugin."""
    bundle = REPOSITORY / "bundles" / "stroke"
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--bundle_root", str(bundle)]
    command += ["--config_file", str(bundle / "configs" / "inference.yaml"), *files, "--method", "brighten"]

    def run(strength: str) -> subprocess.CompletedProcess:
        words = [*command, "--strength", strength, "--output_dir", "out"]
        environment = {**os.environ, "MEDEDIT_PLUGINS": str(PLUGIN)}
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)

    refused = run("1.5")
    assert refused.returncode == 2 and not Path("out").exists()
    sentence = "mededit: --strength: got 1.5, wanted a number between 0 and 1."
    assert refused.stderr.strip().splitlines()[-1] == sentence
    done = run("0.4")
    assert done.returncode == 0, done.stderr[-2000:]
    check(Path("out/scan"), 0.4)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A sampler from one file outside the package: in closed form, and through the command that its users type."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from gaussian import ALPHA_BAR, ExactNetwork, ar1, clean_matrix, scheduler
from plugins.loading import loaded
from promises.verbs import mededit  # noqa: F401

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.methods.build import build_editor
from mededit_monai.sampling.denoise import denoise
from mededit_monai.sampling.levels import noise_levels, visits
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.sampler import SAMPLERS

PLUGIN = Path(__file__).with_name("toy_sampler.py")
COVARIANCE = ar1()


@pytest.fixture()
def heun():
    with loaded(PLUGIN):
        yield


# --- closed form -----------------------------------------------------------------------------------------------------


def gain(sampler: str, steps: int, last: int) -> np.ndarray:
    """The matrix that takes the start to level ``last`` where the exact denoiser of N(0, Σ) is asked."""
    levels, clean = noise_levels(scheduler(), steps, "logsnr"), COVARIANCE

    def estimate(x_t: torch.Tensor, level: int) -> torch.Tensor:
        return x_t @ torch.from_numpy(clean_matrix(clean, ALPHA_BAR[levels.timesteps[level]])).T

    moves = [move for move in visits(len(levels)) if move[1] >= last]
    start = torch.eye(len(COVARIANCE), dtype=torch.float64)
    return denoise(start, moves, SAMPLERS[sampler](levels, lambda: start), estimate).numpy().T


def exact_gain() -> np.ndarray:
    """
    The flow itself from the noisiest level to the cleanest: x_t ~ N(0, ᾱ_t Σ + (1-ᾱ_t) I) goes to the same quantile,
    along every eigenvector of Σ.
    """
    values, vectors = np.linalg.eigh(COVARIANCE)
    clean, noisy = (bar * values + 1 - bar for bar in ALPHA_BAR[[0, 999]])
    return vectors @ np.diag(np.sqrt(clean / noisy)) @ vectors.T


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_it_is_of_second_order(heun):
    """With twice the levels the flow's error is a quarter; that of ddim, of first order, is half."""
    for sampler, least, most in (("heun", 3.9, 4.7), ("ddim", 1.9, 2.1)):
        errors = [distance(gain(sampler, steps, 0), exact_gain()) for steps in (20, 40, 80, 160)]
        ratios = [before / after for before, after in zip(errors, errors[1:])]
        assert all(least < ratio < most for ratio in ratios), (sampler, ratios)


@pytest.mark.parametrize("steps", [20, 40, 80])
def test_it_is_closer_to_the_distribution_than_ddim(heun, steps):
    """At equal steps, and at 40 levels and more at equal evaluations too."""
    errors = {kind: distance((g := gain(kind, steps, -1)) @ g.T, COVARIANCE) for kind in ("heun", "ddim")}
    assert errors["heun"] < errors["ddim"] / 2.5
    twice = gain("ddim", 2 * steps - 1, -1)
    assert steps < 40 or errors["heun"] < distance(twice @ twice.T, COVARIANCE) / 3


def test_an_editor_follows_it(heun):
    """The same matrix, in single precision, from an editor's own noise; two evaluations a step, one at the last."""
    editor = build_editor("sdedit", scheduler(), steps=10, start=1, spacing="logsnr", sampler="heun", clip=None)
    blank = torch.zeros(1, 1, 50, 16)
    found = editor(blank, ExactNetwork(COVARIANCE), blank, blank, seeds=[7])
    wanted = CaseNoise([7], blank)()[0, 0].double().numpy() @ gain("heun", 10, -1).T
    assert np.abs(found.image[0, 0].double().numpy() - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert found.evaluations == 2 * 10 - 1


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture()
def files(tmp_path, monkeypatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    head = write_head(tmp_path / "head")
    return ("--scan", str(head.scan), "--pathology", str(head.pathology), "--slice_index", "10", "--device", "cpu")


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("method", "options", "evaluations"),
    [
        ("morph", {"steps": 4}, 2 * 4 - 1 + 1),  # and the effects network
        ("mededit", {"steps": 3, "resample": 2}, 2 * 5 - 1),  # 5 moves down, of which the last is one evaluation
        ("mededit", {"steps": 2, "resample": 1, "guidance": 2}, 2 * (2 * 2 - 1)),
    ],
)
def test_an_edit_with_it(heun, files, method, options, evaluations, mededit):  # noqa: F811
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = mededit("edit", *files, "--method", method, "--sampler", "heun", *words, "--json", "-o", "out")
    assert done.code == 0, done.err
    (folder,) = json.loads(done.out)["written"]
    record = json.loads(Path(folder, "provenance.json").read_bytes())
    assert record["options"]["sampler"] == "heun" and record["nfe"] == evaluations
    edited, scan, region = (
        np.asarray(nib.load(path).dataobj).astype(float)
        for path in (f"{folder}/edited.nii.gz", files[1], f"{folder}/edit_region.nii.gz")
    )
    changed = edited != scan
    assert changed[..., 10].sum() > 50 and not changed[region == 0].any() and not np.delete(changed, 10, 2).any()


def test_it_is_listed_and_its_options_are_checked(heun, files, mededit):  # noqa: F811
    assert "(ddpm, ddim, dpm2m, heun)" in " ".join(mededit("edit", "--help").out.split())
    refused = mededit("edit", *files, "--sampler", "heun", "--eta", "0.5", "-o", "out")
    assert refused.refused("--eta: got 0.5, but it applies to --sampler ddim, not heun")
    assert mededit("edit", *files, "--sampler", "huen", "-o", "out").refused("wanted one of", "did you mean 'heun'?")
    assert not Path("out").exists()


def test_without_the_plugin_it_is_refused(files, mededit):  # noqa: F811
    assert "heun" not in mededit("edit", "--help").out
    done = mededit("edit", *files, "--sampler", "heun", "-o", "out")
    assert done.refused("--sampler: got 'heun', wanted one of ddpm, ddim, dpm2m.")
    done = mededit("edit", *files, "--sampler", "dpm2", "-o", "out")
    assert done.refused("--sampler: got 'dpm2', wanted one of ddpm, ddim, dpm2m; did you mean 'dpm2m'?")
    with pytest.raises(InputError, match="--sampler: got 'heun', wanted one of ddpm, ddim, dpm2m."):
        edit(files[1], files[3], "out", sampler="heun")
    assert not Path("out").exists()

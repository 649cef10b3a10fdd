# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The samplers against exact propagation: a formula that is off by one level fails here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import (
    ExactNetwork,
    ar1,
    conditional,
    log_snr,
    propagated_edit,
    propagated_sd,
    scheduler,
    uniform,
)

from mededit_monai.methods.inpainting import InpaintingEditor, NaiveRePaintEditor, SDEditEditor
from mededit_monai.sampling.levels import noise_levels

SD = 0.1
SPACING = {"t": uniform, "logsnr": log_snr}


@pytest.mark.parametrize(
    "steps, spacing, count", [(1000, "t", 1000), (25, "t", 25), (100, "logsnr", 94), (50, "logsnr", 49)]
)
def test_levels_are_those_of_the_closed_forms(steps, spacing, count):
    levels = noise_levels(scheduler(), steps, spacing)
    assert list(levels.timesteps) == SPACING[spacing](steps)
    assert len(levels) == count


# First table of the specification's speed page: sample s.d. / true s.d., to the three decimals printed there.
TABLE = [
    ("ddpm", "t", {100: 0.793, 50: 0.681, 25: 0.519, 10: 0.268}),
    ("ddim", "t", {100: 0.883, 50: 0.782, 25: 0.606, 10: 0.344, 5: 0.201}),
    ("ddim", "logsnr", {100: 0.969, 50: 0.947, 25: 0.901, 10: 0.764, 5: 0.583}),
    ("dpm2m", "logsnr", {100: 0.997, 50: 0.998, 25: 1.003, 10: 0.997, 5: 0.808}),
]
CELLS = [(kind, spacing, n, value) for kind, spacing, row in TABLE for n, value in row.items()]


def sample(kind: str, spacing: str, steps: int, **settings) -> float:
    """S.d. of the package's sampler on 90 000 scalars ~ N(0, 0.1²), relative to 0.1."""
    editor = SDEditEditor(scheduler(), start=1.0, steps=steps, spacing=spacing, sampler=kind, clip=None, **settings)
    blank = torch.zeros(1, 1, 300, 300)
    result = editor(blank, ExactNetwork(np.array([[SD**2]])), blank, blank, seeds=[steps])
    return float(result.image.std()) / SD


@pytest.mark.parametrize("kind, spacing, steps, published", CELLS)
def test_texture_that_survives(kind, spacing, steps, published):
    exact = propagated_sd(SPACING[spacing](steps), SD, kind)
    assert exact == pytest.approx(published, abs=6e-4)
    assert sample(kind, spacing, steps) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    "kind, steps, spacing",
    [
        *(("ddpm", 100, "logsnr"), ("ddpm", 25, "logsnr")),
        *(pytest.param(kind, 1000, "t", marks=pytest.mark.slow) for kind in ("ddpm", "ddim")),
    ],
)
def test_standard_deviation_at_other_counts(kind, steps, spacing):
    assert sample(kind, spacing, steps) == pytest.approx(propagated_sd(SPACING[spacing](steps), SD, kind), rel=0.02)


def test_ddim_with_full_noise_is_the_ddpm_posterior():
    assert sample("ddim", "t", 50, eta=1.0) == pytest.approx(sample("ddpm", "t", 50), rel=1e-6)


@pytest.mark.parametrize("kind", ["sample", "v_prediction"])
def test_parametrisations_agree(kind):
    blank = torch.zeros(1, 1, 20, 16)
    results = []
    for prediction_type in ("epsilon", kind):
        editor = SDEditEditor(scheduler(prediction_type), start=1.0, steps=50, spacing="logsnr", clip=None)
        results.append(editor(blank, ExactNetwork(ar1(), prediction_type), blank, blank, seeds=[1]).image)
    assert torch.allclose(*results, atol=2e-4)


# --- composition: 16-dimensional AR(1), first half known -----------------------------------------------------------

EDIT = np.arange(16) >= 8
PRIOR = np.random.default_rng(3).multivariate_normal(np.zeros(16), ar1())


def edited(steps: int, spacing: str, resample: int, rows: int = 8000, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the edited half over ``rows`` independent edits of the same prior."""
    editor = InpaintingEditor(scheduler(), steps=steps, spacing=spacing, resample=resample, clip=None, **settings)
    prior = torch.tensor(PRIOR, dtype=torch.float32).expand(1, 1, rows, 16).contiguous()
    region = torch.tensor(EDIT).expand(1, 1, rows, 16)
    blank = torch.zeros_like(prior)
    found = editor(prior, ExactNetwork(ar1()), blank, blank, region=region, seeds=[7])
    result = found.image[0, 0].double().numpy()
    assert torch.equal(found.region, region)
    assert (result[:, ~EDIT] == prior[0, 0, :, ~EDIT].numpy()).all()
    return result[:, EDIT].mean(0), np.cov(result[:, EDIT].T)


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "steps, spacing, resample",
    [
        *((10, "logsnr", resample) for resample in (1, 4, 10)),
        *((50, "logsnr", resample) for resample in (1, 4)),
        pytest.param(50, "logsnr", 10, marks=pytest.mark.slow),
    ],
)
def test_edit_equals_propagation(steps, spacing, resample):
    mean, cov = propagated_edit(ar1(), PRIOR, EDIT, SPACING[spacing](steps), resample)
    found_mean, found_cov = edited(steps, spacing, resample)
    error = np.sqrt(np.diag(cov) / 8000)
    assert (np.abs(found_mean - mean) < 5 * error).all()
    assert distance(found_cov, cov) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("resample, rows", [(1, 4000), pytest.param(4, 1000, marks=pytest.mark.slow)])
def test_edit_equals_propagation_at_the_thesis_levels(resample, rows):
    mean, cov = propagated_edit(ar1(), PRIOR, EDIT, uniform(1000), resample)
    found_mean, found_cov = edited(1000, "t", resample, rows=rows)
    assert (np.abs(found_mean - mean) < 5 * np.sqrt(np.diag(cov) / rows)).all()
    assert distance(found_cov, cov) < 0.12


@pytest.mark.parametrize(
    "timesteps, published",
    [
        (uniform(1000), {1: (0.72, 0.35), 2: (0.60, 0.22), 4: (0.47, 0.13), 10: (0.32, 0.05)}),
        (log_snr(50), {1: (0.74, 0.20), 2: (0.62, 0.10), 4: (0.50, 0.07), 10: (0.35, 0.10)}),
        (log_snr(10), {1: (0.82, 0.40), 2: (0.73, 0.37), 4: (0.63, 0.37), 10: (0.48, 0.39)}),
    ],
)
def test_resampling_brings_the_mean_toward_the_conditional(timesteps, published):
    exact_mean, exact_cov = conditional(ar1(), PRIOR, EDIT)
    errors = []
    for resample, (_, covariance_error) in published.items():
        mean, cov = propagated_edit(ar1(), PRIOR, EDIT, timesteps, resample)
        errors.append(distance(mean, exact_mean))
        assert distance(cov, exact_cov) == pytest.approx(covariance_error, abs=0.011)
    assert errors == sorted(errors, reverse=True)


def test_known_part_belongs_to_the_level_reached():
    """At 10 levels the right level and the printed slip lie far apart, and the editor is on the right side."""
    right, wrong = (propagated_edit(ar1(), PRIOR, EDIT, log_snr(10), 1, known) for known in ("s", "t"))
    found_mean, found_cov = edited(10, "logsnr", 1)
    apart = distance(wrong[0], right[0])
    assert apart > 0.1
    assert distance(found_mean, right[0]) < apart / 5
    assert distance(found_cov, right[1]) < 0.05


def test_naive_repaint_edits_the_lesion_alone():
    editor = NaiveRePaintEditor(scheduler(), steps=10, resample=2, clip=None)
    prior, brain = torch.randn(1, 1, 8, 16), torch.ones(1, 1, 8, 16)
    lesion = torch.zeros(1, 1, 8, 16)
    lesion[..., 2:5, 4:9] = 1
    result = editor(prior, ExactNetwork(ar1()), brain, lesion, seeds=[0])
    assert torch.equal(result.image != prior, lesion > 0) and torch.equal(result.region, lesion > 0)

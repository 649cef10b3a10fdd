# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that see the scan around the hole, against the exact conditional: composing loses nothing, at any count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import ConditionalNetwork, ar1, conditional, log_snr, propagated_hole, scheduler

from mededit_monai.methods.build import build_editor

ROWS = 8000
EDIT = np.arange(16) >= 8
PRIOR = np.random.default_rng(3).multivariate_normal(np.zeros(16), ar1())
MEAN, COVARIANCE = conditional(ar1(), PRIOR, EDIT)
METHODS = ("palette", "palette_original")


def network(kind: str = "epsilon") -> ConditionalNetwork:
    """[x_t, scan with a hole]."""
    return ConditionalNetwork(ar1(), EDIT, 1, None, kind=kind)


def edits(method: str, rows: int = ROWS, kind: str = "epsilon", **settings) -> torch.Tensor:
    """Independent edits of the same prior, rows x 16."""
    editor = build_editor(method, scheduler(kind), condition="mask", **({"clip": None} | settings))
    prior = torch.tensor(PRIOR, dtype=torch.float32).expand(1, 1, rows, 16).contiguous()
    lesion = torch.tensor(EDIT).expand(1, 1, rows, 16).float()
    return editor(prior, network(kind), torch.ones_like(prior), lesion, seeds=[7]).image[0, 0]


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampler, steps", [("ddpm", 50), ("ddim", 25), ("dpm2m", 10), ("dpm2m", 5)])
def test_the_hole_equals_propagation(method, sampler, steps):
    """Mean and covariance of the hole are those of the sampler on the conditional itself: no bias from composing."""
    mean, cov = propagated_hole(MEAN, COVARIANCE, log_snr(steps), sampler)
    result = edits(method, sampler=sampler, steps=steps, spacing="logsnr").double().numpy()
    assert (np.abs(result[:, EDIT].mean(0) - mean) < 5 * np.sqrt(np.diag(cov) / ROWS)).all()
    assert distance(np.cov(result[:, EDIT].T), cov) < 0.05


@pytest.mark.slow
def test_the_thesis_levels_are_the_exact_conditional():
    result = edits("palette_original", rows=1500, steps=1000, spacing="t").double().numpy()
    assert (np.abs(result[:, EDIT].mean(0) - MEAN) < 5 * np.sqrt(np.diag(COVARIANCE) / 1500)).all()
    assert distance(np.cov(result[:, EDIT].T), COVARIANCE) < 0.12  # of which 0.011 are the levels', the rest the draw's


def test_what_few_evaluations_lose():
    """The mean's error stays below 1 % (composition alone: 35 % at U = 10); the covariance's is the sampler's own."""
    for sampler, steps, lost in (("ddpm", 50, 0.174), ("ddpm", 25, 0.313), ("dpm2m", 25, 0.019), ("dpm2m", 10, 0.072)):
        mean, cov = propagated_hole(MEAN, COVARIANCE, log_snr(steps), sampler)
        assert distance(mean, MEAN) < 0.01
        assert distance(cov, COVARIANCE) == pytest.approx(lost, abs=6e-4)


@pytest.mark.parametrize("method", METHODS)
def test_outside_the_hole(method):
    """Composited: the prior bit for bit. Palette as in the thesis draws it anew, here with the exact network."""
    result = edits(method, rows=20, steps=10, spacing="logsnr")
    outside, prior = result[:, ~EDIT], torch.tensor(PRIOR[~EDIT], dtype=torch.float32).expand(20, 8)
    if method == "palette":
        assert torch.allclose(outside, prior, atol=1e-5) and not torch.equal(outside, prior)
    else:
        assert torch.equal(outside, prior)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["sample", "v_prediction"])
def test_parametrisations_agree(method, kind):
    results = [edits(method, rows=20, kind=k, steps=20, spacing="logsnr") for k in ("epsilon", kind)]
    assert torch.allclose(*results, atol=2e-4)

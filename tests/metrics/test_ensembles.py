# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of ensembles: by hand, against the Gaussian's closed form, and least for the truth's own distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mededit_monai.metrics.ensembles import energy_score, spread_and_error, spread_over_skill


def test_by_hand():
    assert energy_score(np.array([1.0, 3.0]), 2.0) == pytest.approx(1 - 2 / 2)  # away 1, between 2
    assert energy_score(np.array([0.0, 1.0, 5.0]), 1.0) == pytest.approx(5 / 3 - (1 + 5 + 4) / 3 / 2)
    assert energy_score(np.array([4.0]), 1.0) == 3
    two = energy_score(np.array([[3.0, 4.0], [0.0, 0.0]]), np.zeros(2))
    assert two == pytest.approx(np.sqrt(12.5) / 2 - np.sqrt(12.5) / 2)
    variance, error = spread_and_error(np.array([1.0, 3.0]), np.array([2.0, 6.0]))
    assert (variance, error) == pytest.approx((2 * 3 / 2, (0 + 16) / 2))
    assert spread_over_skill(np.array([[1.0, 3.0], [3.0, 13.0]])) == pytest.approx(0.5)


@pytest.mark.parametrize("truth", [-1.5, 0.0, 0.7])
def test_the_crps_of_a_gaussian(truth):
    """σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π), Gneiting & Raftery 2007, eq. 5."""
    drawn = np.random.default_rng(0).normal(0.2, 1.3, 4000)
    z = (truth - 0.2) / 1.3
    wanted = 1.3 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert energy_score(drawn, truth) == pytest.approx(wanted, abs=0.03)


def test_the_truth_s_own_distribution_is_best_whatever_the_number_of_samples():
    rng, scores = np.random.default_rng(1), {}
    truths = rng.normal(0, 1, (3000, 2))
    for spread in (0.2, 1.0, 3.0):
        for count in (2, 8):
            drawn = rng.normal(0, spread, (len(truths), count, 2))
            scores[spread, count] = np.mean([energy_score(s, t) for s, t in zip(drawn, truths)])
    assert scores[1.0, 2] == pytest.approx(scores[1.0, 8], abs=0.02)
    assert scores[1.0, 8] < scores[0.2, 8] and scores[1.0, 8] < scores[3.0, 8]


@pytest.mark.parametrize(("spread", "wanted"), [(1.0, 1.0), (0.5, 0.5), (2.0, 2.0)])
def test_spread_over_skill_of_draws(spread, wanted):
    """Of 4 samples around the right mean: s √((K+1)/K) over √(1 + s²/K), 1 where s is the truth's."""
    rng = np.random.default_rng(2)
    parts = [spread_and_error(rng.normal(0, spread, (4, 50)), rng.normal(0, 1, (6, 50))) for _ in range(300)]
    exact = spread * np.sqrt(5 / 4) / np.sqrt(1 + spread**2 / 4)
    assert spread_over_skill(np.array(parts)) == pytest.approx(exact, rel=0.02)
    assert (exact == 1) == (wanted == 1) and (exact < 1) == (wanted < 1)


def test_what_cannot_be_scored():
    for samples, truth in ((np.zeros((0, 3)), np.zeros(3)), (np.zeros((2, 3)), np.zeros(2))):
        with pytest.raises(ValueError, match="wanted a row a sample"):
            energy_score(samples, truth)
    with pytest.raises(ValueError, match="at least two samples"):
        spread_and_error(np.zeros((1, 3)), np.zeros((2, 3)))

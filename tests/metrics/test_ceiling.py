# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The ceiling of a toy law, of which r, slope and error are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics.ceiling import ceiling, perfect_mean

CASES, DRAWS, SPREAD = 1500, 60, 0.28


@pytest.fixture(scope="module")
def law() -> np.ndarray:
    """change = gain · a: a uniform in 1 … 3, log-normal gain of mean 1, with σ = 0.28."""
    rng = np.random.default_rng(0)
    gain = np.exp(SPREAD * rng.standard_normal((CASES, DRAWS)) - SPREAD**2 / 2)
    return gain * rng.uniform(1, 3, (CASES, 1))


def test_r_slope_and_calibration_of_a_gain(law):
    """var(a) = 4/12, E[a²] = 4 + 1/3, E[gain²] = exp(σ²): r² = slope = var(a) / (E[gain²] E[a²] − E[a]²)."""
    explained = (1 / 3) / (np.exp(SPREAD**2) * (4 + 1 / 3) - 4)
    found = ceiling(law, law.mean(axis=1), resamples=50)
    assert found.r**2 == pytest.approx(explained, abs=0.02) and found.own.r.value**2 == pytest.approx(
        explained, abs=0.04
    )
    assert found.slope == pytest.approx(explained, abs=0.02)
    assert found.calibration == pytest.approx(1, abs=0.04) and found.own.calibration.value == pytest.approx(1, abs=0.1)
    assert found.scatter == pytest.approx(np.sqrt((np.exp(SPREAD**2) - 1) * (4 + 1 / 3)), rel=0.02)
    assert found.draws == DRAWS and found.own.n_cases == CASES


def test_without_a_hidden_part_there_is_no_ceiling(law):
    always = np.repeat(law[:200, :1], 5, axis=1)
    found = ceiling(always, law[:200, 0], resamples=2)
    assert (found.r, found.slope, found.calibration) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    assert found.error == pytest.approx(0, abs=1e-12) and found.scatter == pytest.approx(0, abs=1e-6)


def test_the_mean_does_not_know_its_truth():
    draws = np.array([[10.0, 1.0, 3.0], [20.0, 2.0, 2.0]])
    assert perfect_mean(draws).tolist() == [2, 2] and perfect_mean(draws, 1).tolist() == [6.5, 11]
    with pytest.raises(ValueError, match="at least three draws"):
        ceiling(draws[:, :2], np.ones(2))

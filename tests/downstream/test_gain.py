# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""When a difference may be called a gain, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.downstream.gain import row_figure, verdict


@pytest.mark.parametrize(
    ("difference", "low", "high", "spread", "word"),
    [
        (0.03, 0.01, 0.05, 0.02, "gain"),
        (0.03, 0.01, 0.05, 0.03, "none"),  # no larger than what another seed does
        (0.03, -0.01, 0.07, 0.001, "none"),  # the interval holds 0
        (0.03, 0.0, 0.07, 0.001, "none"),
        (-0.03, -0.05, -0.01, 0.02, "loss"),
        (-0.03, -0.05, -0.01, 0.04, "none"),
        (-0.03, -0.07, 0.01, 0.001, "none"),
        (0.0, 0.0, 0.0, 0.0, "none"),
    ],
)
def test_the_rule(difference, low, high, spread, word):
    assert verdict(difference, low, high, spread) == word


PATIENTS = ["a", "a", "b", "c"]
REAL = np.array([[0.5, 0.6, 0.7, 0.4], [0.6, 0.7, 0.8, 0.5], [0.4, 0.5, 0.6, 0.3]])


def test_figures_of_a_row():
    """Means of the seeds are 0.55, 0.65 and 0.45: mean 0.55, s.d. 0.1; a row 0.1 better everywhere has no spread."""
    found = row_figure(REAL, PATIENTS)
    assert found["value"] == pytest.approx(0.55) and found["sd_seeds"] == pytest.approx(0.1)
    assert found["by_seed"] == pytest.approx([0.55, 0.65, 0.45]) and found["against_real"] is None
    assert (found["n_cases"], found["n_groups"]) == (4, 3) and found["low"] < 0.55 < found["high"]
    better = row_figure(REAL + 0.1, PATIENTS, REAL)["against_real"]
    assert [better[key] for key in ("difference", "low", "high")] == pytest.approx([0.1] * 3)
    assert better["sd_seeds"] == pytest.approx(0, abs=1e-12) and better["verdict"] == "gain"
    assert row_figure(REAL - 0.1, PATIENTS, REAL)["against_real"]["verdict"] == "loss"


def test_the_spread_is_that_of_the_difference():
    """+0.3, 0 and 0 in three seeds: mean 0.1, s.d. 0.1732; every case gains, and yet it is none."""
    other = REAL + np.array([[0.3], [0.0], [0.0]])
    found = row_figure(other, PATIENTS, REAL)["against_real"]
    assert found["difference"] == pytest.approx(0.1) and found["low"] == pytest.approx(0.1)
    assert found["sd_seeds"] == pytest.approx(0.3 / np.sqrt(3)) and found["verdict"] == "none"


def test_cases_that_cannot_be_measured_are_left_out():
    holed, other = REAL.copy(), REAL + 0.1
    holed[:, 3] = np.nan
    other[:, 3] = np.nan
    found = row_figure(other, PATIENTS, holed)
    assert found["value"] == pytest.approx(0.7) and (found["n_cases"], found["n_groups"]) == (3, 2)
    assert found["by_seed"] == pytest.approx([0.7, 0.8, 0.6]) and found["against_real"]["difference"] == pytest.approx(
        0.1
    )

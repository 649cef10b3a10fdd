# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts on pairs whose answer is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.benchmark.compare import RowCases, against_reference, kid_bound
from mededit_monai.metrics.realism import squared_mmd

MARGINS = {"dice": 0.01, "kid": 0.1, "ventricle_error": 0.05}


def cases(dice=0.6, ventricle=20.0, zone=0.1, shift=0.0, count=12, seed=0) -> RowCases:
    rng = np.random.default_rng(seed)
    figures = {
        "adherence_dice": np.full(count, dice),
        "against_truth_ventricle_change_error": np.full(count, ventricle),
        "truth_error_zone": np.full(count, zone),
    }
    return RowCases(figures, [k % 4 for k in range(count)], rng.standard_normal((count, 5)) + shift)


REAL = np.random.default_rng(9).standard_normal((40, 5))


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (cases(), True),
        (cases(dice=0.595), True),
        (cases(dice=0.58), False),
        (cases(ventricle=20.9), True),
        (cases(ventricle=21.1), False),
        (cases(shift=1.0), False),
    ],
)
def test_no_worse_by_every_margin(row, verdict):
    found = against_reference(row, cases(), REAL, MARGINS)
    assert found["no_worse"] is verdict and found["zone_share"] == pytest.approx(1) and found["n_cases"] == 12


def test_cases_that_both_have():
    found = against_reference(cases(zone=0.04, count=12), cases(count=8), REAL, MARGINS)
    assert found["n_cases"] == 8 and found["zone_share"] == pytest.approx(0.4)
    without = against_reference(cases(), cases(), None, MARGINS)
    assert without["kid"] is None and without["no_worse"] is None


def test_kid_advantage_is_the_difference_of_the_kids():
    row, reference = cases(shift=0.5, seed=1), cases(shift=1.0, seed=2)
    found = kid_bound(row, reference, REAL, 0.1)
    wanted = squared_mmd(reference.features, REAL) - squared_mmd(row.features, REAL)
    assert found.advantage == pytest.approx(wanted) and found.advantage > found.bound
    assert found.margin == pytest.approx(0.1 * abs(squared_mmd(reference.features, REAL)))
    assert found.non_inferior and kid_bound(reference, row, REAL, 0.1).non_inferior is False

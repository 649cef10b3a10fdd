# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts on pairs whose answer is known by construction."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mededit_monai.evaluation.comparisons import against_reference, kid_bound
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.metrics.realism import Features, squared_mmd

MARGINS = {"dice": 0.01, "kid": 0.1, "ventricle_error": 0.05}


def cases(dice=0.6, ventricle=20.0, zone=0.1, shift=0.0, count=12, seed=0) -> tuple[list[dict], np.ndarray]:
    """Lines of a row, and the features of its edits."""
    figures = {"adherence_dice": dice, "against_truth_ventricle_change_error": ventricle, "truth_error_zone": zone}
    lines = [{"case_id": f"c{k}", "anatomy": str(k % 4), **figures} for k in range(count)]
    return lines, np.random.default_rng(seed).standard_normal((count, 5)) + shift


def against(row, reference, real) -> dict:
    """The verdict on a row."""
    known = {"row": row, "reference": reference}
    features = {key: SimpleNamespace(features=SimpleNamespace(values=values)) for key, (_, values) in known.items()}
    lines = {(key, "paired"): own for key, (own, _) in known.items()}
    scorer = Scorer(lines, lambda key, pairing, ending: features[key])
    return against_reference(scorer, "row", "reference", "paired", MARGINS, real)


REAL = Features(np.random.default_rng(9).standard_normal((40, 5)), "toy", [str(k % 8) for k in range(40)])


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
    found = against(row, cases(), REAL)
    assert found["no_worse"] is verdict and found["zone_share"] == pytest.approx(1) and found["n_cases"] == 12


def test_cases_that_both_have():
    found = against(cases(zone=0.04, count=12), cases(count=8), REAL)
    assert found["n_cases"] == 8 and found["zone_share"] == pytest.approx(0.4)
    without = against(cases(), cases(), None)
    assert without["kid"] is None and without["no_worse"] is None


def test_kid_advantage_is_the_difference_of_the_kids():
    (lines, row), (_, reference) = cases(shift=0.5, seed=1), cases(shift=1.0, seed=2)
    groups = [line["anatomy"] for line in lines]
    found = kid_bound(row, reference, groups, REAL, 0.1)
    kids = [squared_mmd(part, REAL.values, (groups, REAL.groups)) for part in (reference, row)]
    wanted = kids[0] - kids[1]
    assert found.advantage == pytest.approx(wanted) and found.advantage > found.bound
    assert found.margin == pytest.approx(0.1 * abs(kids[0]))
    assert found.non_inferior and kid_bound(reference, row, groups, REAL, 0.1).non_inferior is False

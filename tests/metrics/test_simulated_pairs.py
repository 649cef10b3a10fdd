# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""On simulated strokes, where the answer is known: what grew is found to have grown."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai import metrics
from mededit_monai.metrics.arrays import STROKE_PIXEL_MM as STEP
from mededit_monai.metrics.indirect import lesion_side
from studies.metric_pictures import simulated_pairs


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    shown = [p for p in simulated_pairs("stroke", 9) if (p["prior_ventricles"] > 0).sum() > 50]
    assert len(shown) > 5
    return shown


def _total(pair: dict, key: str) -> float:
    return sum(metrics.ventricle_sizes(pair[key], STEP))


def test_truth_is_the_best_edit_and_no_edit_is_idle(pairs):
    for pair in pairs:
        masks = pair["pathology"], pair["region"], pair["brain"]
        truth = metrics.zone_errors(pair["image"], pair["image"], pair["prior"], *masks)
        idle = metrics.zone_errors(pair["prior"], pair["image"], pair["prior"], *masks)
        assert all(zone.error == 0 for zone in truth.values())
        assert idle["lesion"].relative == 1 and idle["lesion"].error > idle["zone"].error > 0


def test_ventricles_grow_toward_the_lesion(pairs):
    changed = 0
    for pair in pairs:
        parts = pair["prior_ventricles"], pair["ventricles"], pair["pathology"], pair["brain"]
        found = metrics.ventricle_change(*parts, STEP)
        assert found.total == pytest.approx(_total(pair, "ventricles") - _total(pair, "prior_ventricles"))
        if found.total > 100:
            changed += 1
            assert found.ipsilateral > abs(found.contralateral) and found.asymmetry > 0
    assert changed


@pytest.mark.slow  # of known growth: test_registration.py
def test_log_jacobian_sees_the_growth_without_a_segmentation(pairs):
    grown, found = [], []
    for pair in pairs:
        side = lesion_side(pair["pathology"], pair["brain"])[0]
        before, after = ((pair[key] == side).sum() for key in ("prior_ventricles", "ventricles"))
        if before > 20:
            values = pair["prior"], pair["image"], pair["pathology"], pair["prior_ventricles"]
            grown.append(np.log(after / before))
            found.append(metrics.ventricle_growth(*values, STEP)[side - 1])
    assert max(grown) > 0.2
    assert all(f > 0 for g, f in zip(grown, found) if g > 0.1)
    assert np.corrcoef(grown, found)[0, 1] > 0.85


def test_agreement_of_the_truth_and_of_its_double(pairs):
    true = np.array([_total(p, "ventricles") - _total(p, "prior_ventricles") for p in pairs])
    area = np.array([p["pathology"].sum() for p in pairs])
    same = metrics.change_agreement(true, true, area, draws=50)
    double = metrics.change_agreement(2 * true, true, area, draws=50)
    assert (same.r.value, same.slope.value, same.error.value) == (pytest.approx(1), pytest.approx(1), 0)
    assert (double.slope.value, double.error.value) == (pytest.approx(2), pytest.approx(double.idle_error.value))

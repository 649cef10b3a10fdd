# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from mededit_monai.metrics import area_prediction, change_agreement, partial_correlation, zone_errors
from mededit_monai.metrics.truth import pearson, slope

TRUTH = np.array([[0.1, 0.5, 0.6, 0.6, 0.0]])
PRIOR = np.array([[0.7, 0.7, 0.6, 0.6, 0.0]])
EDIT = np.array([[0.2, 0.6, 0.5, 0.6, 0.9]])
P, M, B = (np.array([mask]) for mask in ([1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]))


@pytest.mark.parametrize("dims", [2, 3])
def test_errors_by_zone(dims):
    images = [a if dims == 2 else np.stack([a, a], axis=-1) for a in (EDIT, TRUTH, PRIOR, P, M, B)]
    found = zone_errors(*images)
    assert (found["lesion"].error, found["lesion"].idle) == (pytest.approx(0.1), pytest.approx(0.6))
    assert (found["zone"].error, found["zone"].idle) == (pytest.approx(0.1), pytest.approx(0.1))  # (0.1+0.1)/2, 0.2/2
    assert (found["lesion"].relative, found["zone"].relative) == (pytest.approx(1 / 6), pytest.approx(1))
    assert (found["outside"].error, found["outside"].idle) == (0, 0) and np.isnan(found["outside"].relative)


def test_truth_and_idleness_against_themselves():
    perfect, idle = (zone_errors(image, TRUTH, PRIOR, P, M, B) for image in (TRUTH, PRIOR))
    assert all(zone.error == 0 for zone in perfect.values())
    assert idle["lesion"].relative == idle["zone"].relative == 1
    assert np.isnan(zone_errors(EDIT, TRUTH, PRIOR, P, P, P)["zone"].error)


def test_a_shifted_copy_has_the_error_of_its_shift():
    """A ramp of 0.01 a pixel, shifted by three."""
    ramp = np.broadcast_to(0.01 * np.arange(40.0)[:, None], (40, 20))
    inner = np.zeros((40, 20))
    inner[5:35] = 1
    found = zone_errors(np.roll(ramp, 3, axis=0), ramp, ramp + 0.12, 0 * ramp, inner, inner)
    assert (found["zone"].error, found["zone"].relative) == (pytest.approx(0.03), pytest.approx(0.25))


RNG = np.random.default_rng(0)
AREA = RNG.uniform(10, 1000, 60)
CHANGE = 0.3 * AREA + 40 * RNG.standard_normal(60)  # mm², true
GROUPS = [f"anatomy_{k % 6}" for k in range(60)]


def test_truth_against_itself():
    found = change_agreement(CHANGE, CHANGE, AREA, GROUPS, draws=200)
    assert (found.r.value, found.slope.value, found.error.value) == (pytest.approx(1), pytest.approx(1), 0)
    assert (found.r.low, found.slope.high) == (pytest.approx(1), pytest.approx(1))
    assert found.partial_r.value == pytest.approx(1)
    assert found.idle_error.value == pytest.approx(np.abs(CHANGE).mean())
    assert (found.n_groups, found.n_cases) == (6, 60) == (found.r.n_groups, found.r.n_cases)


@pytest.mark.parametrize("factor, r", [(2.0, 1), (0.5, 1), (-1.0, -1)])
def test_scaled_change(factor, r):
    found = change_agreement(factor * CHANGE, CHANGE, AREA, draws=50)
    assert (found.slope.value, found.r.value) == (pytest.approx(factor), pytest.approx(r))
    assert found.error.value == pytest.approx(abs(factor - 1) * np.abs(CHANGE).mean())


def test_no_change_at_all():
    found = change_agreement(np.zeros(60), CHANGE, AREA, draws=50)
    assert np.isnan(found.r.value) and np.isnan(found.partial_r.value) and np.isnan(found.r.low)
    assert found.slope.value == 0 and found.error.value == found.idle_error.value


def test_slope_and_r_by_hand():
    """Means 2 and 2; cov 1·(-1)… : Σ = 1+0+2 = 3 over Σ = 2."""
    predicted, true = np.array([1.0, 1.0, 4.0]), np.array([1.0, 2.0, 3.0])
    assert slope(predicted, true) == pytest.approx(3 / 2)
    assert pearson(predicted, true) == pytest.approx(3 / np.sqrt(6 * 2))
    assert np.isnan(slope(predicted, np.ones(3)))


def test_partial_correlation_is_fishers_formula():
    x, y, z = CHANGE + 30 * RNG.standard_normal(60), CHANGE, AREA
    xy, xz, yz = (stats.pearsonr(a, b).statistic for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_correlation(x, y, z) == pytest.approx(expected)


def test_knowing_the_area_alone_is_no_partial_correlation():
    found = change_agreement(0.3 * AREA, CHANGE, AREA, draws=50)
    assert found.r.value > 0.8 and np.isnan(found.partial_r.value)
    noisy = change_agreement(0.3 * AREA + 20 * np.random.default_rng(9).standard_normal(60), CHANGE, AREA)
    assert noisy.r.value > 0.8 and noisy.partial_r.low < 0 < noisy.partial_r.high


def test_trivial_predictor_by_hand():
    """The line through the other two points: (1, 5), (2, 4) at 0; (0, 0), (2, 4) at 1; (0, 0), (1, 5) at 2."""
    predicted = area_prediction([0.0, 1.0, 2.0], [0.0, 5.0, 4.0])
    assert predicted == pytest.approx([6.0, 2.0, 10.0])


def test_trivial_predictor_leaves_the_anatomy_out():
    groups = ["a", "a", "b", "b", "b"]
    area, change = np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.array([2.0, 3.0, 1.0, 5.0, 4.0])
    model = LinearRegression().fit(area[2:, None], change[2:])
    assert area_prediction(area, change, groups)[:2] == pytest.approx(model.predict(area[:2, None]))
    found = change_agreement(change, change, area, groups, draws=20)
    assert found.area_error.value == pytest.approx(np.abs(area_prediction(area, change, groups) - change).mean())
    assert found.area_r.value == pytest.approx(pearson(area_prediction(area, change, groups), change))


def test_intervals_widen_with_fewer_anatomies():
    predicted = CHANGE + 60 * np.random.default_rng(2).standard_normal(60)
    many = change_agreement(predicted, CHANGE, AREA, draws=500)
    assert many.r.low < many.r.value < many.r.high and many.slope.low < 1 < many.slope.high
    offset = np.repeat(100 * np.random.default_rng(3).standard_normal(6), 10)  # an anatomy's own bias
    few = change_agreement(CHANGE + offset, CHANGE, AREA, np.repeat(np.arange(6), 10).tolist(), draws=500)
    alone = change_agreement(CHANGE + offset, CHANGE, AREA, draws=500)
    assert few.error.high - few.error.low > 1.3 * (alone.error.high - alone.error.low)


def test_incomplete_cases_are_left_out_and_counted():
    predicted = CHANGE.copy()
    predicted[:10] = np.nan
    found = change_agreement(predicted, CHANGE, AREA, GROUPS, draws=20)
    assert found.n_cases == 50 and found.slope.value == pytest.approx(1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: change_agreement([1.0, 2.0], [1.0], [1.0]), "one each a case"),
        (lambda: change_agreement([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]), "2 of 2 cases are complete"),
        (lambda: change_agreement(CHANGE, CHANGE, AREA, ["a"]), "60 cases and 1 groups"),
        (lambda: area_prediction([1.0, 2.0], [1.0, 2.0]), "wanted at least 3"),
        (lambda: zone_errors(EDIT[:, :3], TRUTH, PRIOR, P, M, B), "the edit has shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Columns of edits that displace the scan, on lines made up by hand; and what is left of an edit without a lesion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.evaluation.columns import COLUMNS, KINDS
from mededit_monai.evaluation.controls import ControlEditor
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.metrics import CompositionMetric, DisplacedErrorMetric
from mededit_monai.metrics.lesion_features import PLAIN

RNG = np.random.default_rng(0)


def scorer(figures: dict[str, np.ndarray]) -> Scorer:
    count = len(next(iter(figures.values())))
    lines = [
        {"case_id": f"c{k}", "anatomy": f"brain_{k % 5}", **{name: values[k] for name, values in figures.items()}}
        for k in range(count)
    ]
    return Scorer({("row", "paired"): lines}, lambda *_: None)


def value(found: Scorer, key: str) -> float | None:
    figure = found.figure("row", COLUMNS[key], "mask")
    return None if figure is None else figure["value"]


@pytest.mark.slow
def test_agreement_of_carried_labels_beside_the_judges():
    """The estimate is half of the truth: slope ½, calibration 2. The judge's own figures are others, and stay apart."""
    true = RNG.uniform(10, 300, 50)
    figures = {"carried_ventricle_change_predicted": true / 2, "carried_ventricle_change_true": true}
    figures |= {"carried_lesion_size": RNG.uniform(1, 9, 50), "against_truth_lesion_size": RNG.uniform(1, 9, 50)}
    figures |= {"against_truth_ventricle_change_predicted": 3 * true, "against_truth_ventricle_change_true": true}
    found = scorer(figures)
    assert value(found, "carried_slope") == pytest.approx(0.5) and value(found, "ventricle_slope") == pytest.approx(3)
    assert value(found, "carried_calibration") == pytest.approx(2) and value(found, "carried_r") == pytest.approx(1)


def test_the_worst_of_all_cases_is_named_without_an_interval():
    jacobians, trips = RNG.uniform(0.2, 1, 20), RNG.uniform(0, 0.1, 20)
    jacobians[7], trips[3] = -0.1, np.nan
    found = scorer({"field_jacobian": jacobians, "field_round_trip": trips})
    figure = found.figure("row", COLUMNS["jacobian"], "mask")
    assert figure == {"value": -0.1, "low": None, "high": None, "n_cases": 20, "n_groups": 5}
    figure = found.figure("row", COLUMNS["round_trip"], "mask")
    assert figure["value"] == np.nanmax(trips) and figure["n_cases"] == 19
    assert value(scorer({"field_jacobian": np.full(5, np.nan)}), "jacobian") is None


def test_signs_are_a_share_of_the_cases_that_have_one():
    signs = np.array([1, 1, 0, np.nan, np.nan, 1])
    figure = scorer({"carried_sign_right": signs}).figure("row", COLUMNS["carried_sign"], "mask")
    assert figure["value"] == 0.75 and figure["n_cases"] == 4


def test_lesions_are_told_apart_by_their_features():
    true = RNG.standard_normal((80, len(PLAIN)))
    for shift, least, most in ((0.0, 0.3, 0.65), (3.0, 0.9, 1.0)):
        edits = true + 0.2 * RNG.standard_normal(true.shape)
        edits[:, PLAIN.index("fine")] += shift
        figures = {f"features_edit_{name}": edits[:, k] for k, name in enumerate(PLAIN)}
        figures |= {f"features_true_{name}": true[:, k] for k, name in enumerate(PLAIN)}
        found = scorer(figures)
        for key in ("lesion_auc", "lesion_auc_trees"):
            assert least < value(found, key) <= most
    assert value(scorer({"truth_error_zone": np.ones(5)}), "lesion_auc") is None


def test_every_kind_of_column_can_be_computed():
    assert {column.kind for column in COLUMNS.values()} <= set(KINDS)
    assert all(hasattr(Scorer, f"_{kind}") for kind in KINDS)


def test_composition_by_hand():
    prior, brain, place = np.full((4, 4), 0.5), np.ones((4, 4)), np.zeros((4, 4))
    brain[3], place[0] = 0, 1
    speed, paint = np.zeros((2, 4, 4)), np.zeros((4, 4))
    speed[:, 0, 0], speed[:, 3, 3] = (3, 4), (30, 40)  # the second lies outside of the brain
    paint[0], paint[2] = [0.1, -0.1, 0.3, 0.1], 9
    composed = prior.copy()
    composed[1, 1] += 1e-7
    case = {"composed": composed, "prior": prior, "brain": brain, "ungated_velocity": speed}
    case |= {"ungated_paint": paint, "ungated_place": place}
    found = dict(zip(CompositionMetric.columns, CompositionMetric().measure(prior, case)))
    assert found["changed_voxels"] == 1 and found["velocity_largest"] == 5
    assert found["velocity"] == pytest.approx(5 / 12) and found["paint"] == pytest.approx(0.15)
    case["ungated_paint"] = np.full((4, 4), np.nan)  # a method without painter
    assert np.isnan(CompositionMetric().measure(prior, case)[3])


def test_the_displaced_scans_error_is_that_of_the_displaced_scan():
    truth, prior, masks = np.zeros((6, 6)), np.full((6, 6), 0.4), np.ones((6, 6))
    lesion, region = np.zeros((6, 6)), np.zeros((6, 6))
    lesion[0], region[:3] = 1, 1
    displaced = np.full((6, 6), 0.1)
    case = {"displaced": displaced, "image": truth, "prior": prior, "pathology": lesion, "region": region}
    assert DisplacedErrorMetric().measure(np.ones((6, 6)), case | {"brain": masks}) == pytest.approx((0.1, 0.1))


def test_controls_have_a_displacement_where_the_true_one_is_known():
    class Whole:
        def region(self, brain, pathology):
            return brain > 0

    scan, brain = torch.arange(6.0).reshape(1, 1, 6, 1) / 6, torch.ones(1, 1, 6, 1)
    true = torch.zeros(1, 2, 6, 1)
    true[:, 0, :4] = 2.0  # one step of 2 mm
    told = {"brain": brain, "pathology": brain, "truth": scan + 1, "true_displacement": true}
    perfect, nothing = (ControlEditor(Whole(), name, 2.0)(scan, None, **told) for name in ("truth", "no_edit"))
    assert torch.equal(perfect.extras["displacement"], true) and torch.equal(perfect.image, scan + 1)
    assert perfect.extras["displaced"][0, 0, :, 0].tolist() == pytest.approx(np.array([1, 2, 3, 4, 4, 5]) / 6)
    assert not nothing.extras["displacement"].any() and torch.equal(nothing.extras["displaced"], scan)
    assert ControlEditor(Whole(), "truth", 2.0)(scan, None, **{**told, "true_displacement": None}).extras == {}

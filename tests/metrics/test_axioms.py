# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Axioms of counterfactuals on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import AdherenceMetric, MinimalityMetric, ReversibilityMetric
from mededit_monai.metrics.axioms import mean_change, needless_change, undone_error
from mededit_monai.space.flow import exponentiate, warp


def test_only_what_the_truth_leaves_alone_counts_as_needless():
    prior, brain, lesion = np.full((8, 8), 0.5), np.ones((8, 8)), np.zeros((8, 8))
    brain[7], lesion[0, :4] = 0, 1
    truth, edit = prior.copy(), prior.copy()
    truth[0, :4], truth[1] = 0.1, 0.6  # the lesion, and tissue that moves: 56 - 4 - 8 = 44 points stay
    edit[:2], edit[2, 0], edit[7] = 0.0, 0.9, 0.0  # right or wrong where the truth changes; 4 needless points of row 0
    amount, share = needless_change(edit, truth, prior, lesion, brain)
    kept = 56 - 4 - 8
    assert share == pytest.approx((4 + 1) / kept) and amount == pytest.approx((4 * 0.5 + 0.4) / kept)
    assert mean_change(edit, prior, brain) == pytest.approx((16 * 0.5 + 0.4) / 56)
    assert needless_change(prior, truth, prior, lesion, brain) == (0, 0)
    assert np.isnan(needless_change(edit, prior + 0.1, prior, lesion, brain)).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_an_edit_that_is_undone_gives_the_scan_back(dims):
    """A smooth scan and a smooth flow: what is left is interpolation; a wrong inverse leaves more than none does."""
    grid = np.stack(np.meshgrid(*[np.arange(24.0)] * dims, indexing="ij"))
    prior = 0.5 + 0.3 * np.sin(grid[0] / 3)
    bump = np.exp(-((grid - 12) ** 2).sum(axis=0) / 30)
    velocity = np.stack([2.5 * bump, *[0 * bump] * (dims - 1)]).astype(np.float32)
    there, back = exponentiate(velocity), exponentiate(-velocity)
    edit, lesion = warp(prior[None].astype(np.float32), there)[0], np.zeros(prior.shape)
    spacing = 1.5
    undone, left = undone_error(edit, prior, back * spacing, lesion, np.ones(prior.shape), spacing)
    assert left > 0.002 and undone < 0.2 * left  # linear interpolation of a curve, twice
    twice, _ = undone_error(edit, prior, there * spacing, lesion, np.ones(prior.shape), spacing)
    assert twice > 1.5 * left


def test_paint_is_not_undone_and_does_not_count():
    prior, lesion, still = np.full((12, 12), 0.5), np.zeros((12, 12)), np.zeros((2, 12, 12))
    lesion[5:7, 5:7] = 1
    edit = np.where(lesion > 0, 0.1, prior)
    assert undone_error(edit, prior, still, lesion, np.ones((12, 12)), 1.0) == (0, 0)
    edit[0, 0] = 0.0  # far from the lesion
    seen = 144 - 24  # 2x2 points and two rings around them
    assert undone_error(edit, prior, still, lesion, np.ones((12, 12)), 1.0) == pytest.approx((0.5 / seen,) * 2)


def test_the_metrics_name_what_they_measure():
    prior, lesion, brain = np.full((1, 8, 8), 0.5), np.zeros((1, 8, 8)), np.ones((1, 8, 8))
    lesion[0, 3:5, 3:5] = 1
    truth = np.where(lesion > 0, 0.2, prior)
    case = {"prior": prior, "image": truth, "pathology": lesion, "brain": brain}
    case |= {"displacement": np.zeros((2, 8, 8)), "inverse": np.zeros((2, 8, 8))}
    batch = {name: [part] for name, part in case.items()}
    assert MinimalityMetric()([truth], batch)[0].tolist() == pytest.approx([4 * 0.3 / 64, 0, 0])
    assert ReversibilityMetric(1.0)([truth], batch)[0].tolist() == [0, 0]


def test_effectiveness_is_the_size_found_against_the_size_asked_for():
    asked, found = np.zeros((1, 8, 8)), np.zeros((1, 8, 8))
    asked[0, 2:4, 2:6], found[0, 2:4, 2:5] = 1, 1
    batch = {"pathology": [asked], "pred_pathology": [found]}
    row = dict(zip(AdherenceMetric.columns, AdherenceMetric()([asked], batch)[0].tolist()))
    assert (row["found"], row["asked"], row["departure"]) == (6, 8, 0.25)
    batch["pathology"] = [0 * asked]
    row = dict(zip(AdherenceMetric.columns, AdherenceMetric()([asked], batch)[0].tolist()))
    assert np.isnan(row["departure"]) and row["found"] == 6

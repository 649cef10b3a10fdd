# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesion contrast and midline shift against the truth, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import MidlineTruthMetric, TrueContrastMetric


def _ventricles(shift: int) -> np.ndarray:
    labels = np.zeros((24, 16))
    labels[8 + shift, 4:10], labels[13 + shift, 4:10] = 1, 2
    return labels[None]


@pytest.mark.parametrize(("side", "away"), [(18, -1), (3, 1)])  # from a lesion on the right the midline goes left
def test_midline_shift_away_from_the_lesion(side, away):
    pathology, brain = np.zeros((1, 24, 16)), np.ones((1, 24, 16))
    pathology[0, side, 5:8] = 1
    case = {"pathology": pathology, "brain": brain, "prior_ventricles": _ventricles(0), "ventricles": _ventricles(2)}
    case |= {
        "judged_prior_ventricles": _ventricles(-1),
        "pred_ventricles": _ventricles(0),
    }  # a biased judge: moved by 1
    batch = {name: [plane] for name, plane in case.items()}
    predicted, true, error, idle = MidlineTruthMetric(1.5)(np.zeros((1, 1, 24, 16)), batch)[0].tolist()
    assert (predicted, true, error, idle) == pytest.approx((away * 1.5, away * 3.0, 1.5, 3.0))


def test_contrast_is_the_share_of_the_true_change():
    prior, truth, lesion = np.full((1, 8, 8), 0.8), np.full((1, 8, 8), 0.8), np.zeros((1, 8, 8))
    lesion[0, 2:4], truth[0, 2:4] = 1, 0.4
    batch = {"prior": [prior], "image": [truth], "pathology": [lesion]}
    shares = [TrueContrastMetric()([prior + w * (truth - prior)], batch).item() for w in (0.0, 0.5, 1.0, -1.0)]
    assert shares == pytest.approx([0, 0.5, 1, -1])

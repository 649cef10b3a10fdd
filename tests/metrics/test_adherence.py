# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import intensity_drop

PRIOR = np.array([[0.8, 0.6, 0.4], [0.2, 0.5, 0.9]])
EDIT = np.array([[0.2, 0.5, 0.0], [0.9, 0.5, 0.1]])


@pytest.mark.parametrize(
    "mask, drop",
    [
        ([[1, 0, 0], [0, 0, 0]], 0.6),
        ([[1, 1, 0], [0, 0, 0]], 0.35),  # (0.6 + 0.1) / 2
        ([[1, 0, 0], [1, 0, 0]], -0.05),  # (0.6 - 0.7) / 2: brighter
        ([[0, 0, 0], [0, 1, 0]], 0.0),
        ([[1, 1, 1], [1, 1, 1]], 0.2),  # 1.2 / 6
    ],
)
def test_mean_darkening(mask, drop):
    assert intensity_drop(PRIOR, EDIT, np.array(mask)) == pytest.approx(drop)
    assert intensity_drop(EDIT, PRIOR, np.array(mask, bool)) == pytest.approx(-drop)
    assert intensity_drop(100 * PRIOR, 100 * EDIT, 255 * np.array(mask, np.uint8)) == pytest.approx(100 * drop)


def test_in_three_dimensions():
    mask = np.zeros((2, 2, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    volume = np.stack([PRIOR, PRIOR]), np.stack([EDIT, EDIT - 0.1])
    assert intensity_drop(*volume, mask) == pytest.approx((0.6 + 0.1) / 2)


def test_unsigned_integers_do_not_wrap_around():
    assert intensity_drop(np.array([10], np.uint8), np.array([30], np.uint8), np.array([1])) == -20


def test_refuses_an_empty_mask():
    with pytest.raises(ValueError, match="mask is empty"):
        intensity_drop(PRIOR, EDIT, np.zeros((2, 3)))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mededit_monai.reader_study.statistics import (
    difference_found,
    images_needed,
    permutation_p,
    power_of,
    spread_with,
    variance_parts,
    weighted_kappa,
)


def test_permutation_of_pairs():
    """Six cases, each of which the first arm wins: of the 64 ways to deal two are as extreme."""
    values = np.array([3.0, 1, 4, 2, 3, 2, 4, 3, 2, 1, 4, 1])
    arms, cases = ["a", "b"] * 6, [k // 2 for k in range(12)]
    assert permutation_p(values, arms, cases, draws=20000) == pytest.approx(2 / 64, abs=0.004)
    assert permutation_p(values, arms, cases) == permutation_p(values[::-1], arms[::-1], cases[::-1])


def test_permutation_keeps_to_the_blocks():
    """The strata differ much, the arms within them not at all: shuffled over all, this would look like a difference."""
    values = np.array([0.0, 0.1, 0.0, 0.1, 0.1, 9.0, 9.1, 9.1, 9.0, 9.1])
    arms = ["a"] * 4 + ["b"] + ["a"] + ["b"] * 4
    blocks = ["small"] * 5 + ["large"] * 5
    assert permutation_p(values, arms, ["all"] * 10) < 0.1
    assert permutation_p(values, arms, blocks) > 0.2


def test_permutation_of_three_arms_and_under_the_null():
    rng = np.random.default_rng(0)
    ps = [permutation_p(rng.random(18), ["a", "b", "c"] * 6, ["x"] * 18, draws=199) for _ in range(200)]
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert permutation_p(np.repeat([1.0, 2, 3], 6), np.repeat(["a", "b", "c"], 6), ["x"] * 18) < 0.001
    with pytest.raises(ValueError, match="at least two"):
        permutation_p(np.ones(3), ["a"] * 3, ["x"] * 3)


def test_kappa():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 5, 60)
    y = np.clip(x + rng.integers(-1, 2, 60), 0, 4)
    wanted = cohen_kappa_score(x, y, labels=range(5), weights="quadratic")
    assert weighted_kappa(np.stack([x, y], axis=1)) == pytest.approx(wanted, abs=1e-12)
    assert weighted_kappa(np.array([[0, 0], [1, 1], [4, 4]])) == 1
    assert np.isnan(weighted_kappa(np.full((5, 2), 3)))


def test_variances():
    rng = np.random.default_rng(2)
    images, raters = 2 * rng.standard_normal(20000), np.array([[0.0], [0.7], [-0.4]])  # a rater may be stricter
    parts = variance_parts(images + raters + 0.5 * rng.standard_normal((3, 20000)))
    assert parts == pytest.approx((4.0, 0.25), rel=0.03)
    assert spread_with(parts, 5) == pytest.approx(np.sqrt(4.05), rel=0.02)
    one = variance_parts(np.array([[1.0, 2, 3]]))
    assert one == (1.0, None) and spread_with(one, 1) == 1


def test_power():
    """The sizes that every textbook has for half a standard deviation."""
    assert images_needed(1, 0.5, paired=False) == 64 and images_needed(2, 1, paired=True) == 34
    assert power_of(64, 1, 0.5, False) == pytest.approx(0.8015, abs=1e-3)
    assert [power_of(20, 1, d, True) for d in (0, 1e-4, 1e-2)] == pytest.approx([0.05] * 3, abs=1e-3)
    assert difference_found(64, 1, paired=False) == pytest.approx(0.4991, abs=1e-3)
    assert images_needed(1, 0.001, paired=False) is None and power_of(5000, 1, 3, False) == 1
    sizes = [images_needed(1.1, d, False) for d in (0.25, 0.5, 1)]
    assert sizes == sorted(sizes, reverse=True)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mededit_monai.metrics import bootstrap, compare_paired, paired_bound
from mededit_monai.metrics.statistics import bootstrap_draws, holm, joint_draws, signed_rank_floor


def test_draws_take_whole_groups_and_then_cases():
    groups = ["a", "a", "a", "b"]
    draws = bootstrap_draws(groups, 400, seed=0)
    sizes = {len(d) for d in draws}
    assert sizes == {6, 4, 2}  # aa, ab, bb: a case of b is never drawn as if it were one of four
    share_b = np.mean([np.mean(d == 3) for d in draws])
    assert share_b == pytest.approx((0 + 2 * 0.25 + 1) / 4, abs=0.05)
    assert any(len(set(d)) < len(d) for d in draws if len(d) == 6)


def test_joint_draws_take_the_same_groups_from_both_sets():
    first, second = ["a", "a", "b", "c", "own"], ["b", "c", "c", "a", "x", "y"]
    for one, two in joint_draws(first, second, 100, seed=1):
        names = [[part[k] for k in drawn] for part, drawn in ((first, one), (second, two))]
        assert names[0].count("a") == 2 * names[1].count("a") and names[0].count("b") == names[1].count("b")
        assert names[1].count("c") == 2 * names[0].count("c") and names[0].count("own") == 1
        assert names[1].count("x") + names[1].count("y") == 2
    assert len({tuple(two) for _, two in joint_draws(first, second, 100)}) > 50
    with pytest.raises(ValueError, match="got 0 and 6 cases"):
        joint_draws([], second)


def test_seed():
    values = np.arange(10.0)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_counts_and_values_without_nan():
    found = bootstrap([1.0, np.nan, 3.0, 5.0], ["a", "b", "c", "c"])
    assert (found.value, found.n_groups, found.n_cases) == (3.0, 2, 3)
    assert found.low >= 1 and found.high <= 5


def test_normal_interval_of_a_mean():
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)  # sd 1
    found = bootstrap(values, draws=4000)
    assert found.value == pytest.approx(0, abs=1e-12)
    assert (found.low, found.high) == (
        pytest.approx(-1.96 / np.sqrt(200), rel=0.08),
        pytest.approx(1.96 / np.sqrt(200), rel=0.08),
    )


def test_clones_of_a_patient_are_no_evidence():
    """Ten patients, each twenty times: the interval is as wide as with each once, not √20 narrower."""
    patients = np.random.default_rng(0).standard_normal(10)
    once = bootstrap(patients)
    many = bootstrap(np.repeat(patients, 20), np.repeat(np.arange(10), 20))
    assert many.high - many.low == pytest.approx(once.high - once.low, rel=0.08)
    assert (many.n_groups, many.n_cases) == (10, 200)
    assert many.high - many.low > 3 * np.subtract(
        *[bootstrap(np.repeat(patients, 20)).__dict__[k] for k in ("high", "low")]
    )


@pytest.mark.slow
@pytest.mark.parametrize("cases_each", [1, 4])
def test_coverage(cases_each):
    """95 % intervals of a mean over 20 groups (random effect 1, cases 1): 0 lies inside in about 95 of 100."""
    rng, inside, runs = np.random.default_rng(1), 0, 300
    groups = np.repeat(np.arange(20), cases_each)
    for run in range(runs):
        values = rng.standard_normal(20)[groups] + rng.standard_normal(len(groups))
        found = bootstrap(values, groups.tolist(), draws=200, seed=run)
        inside += found.low <= 0 <= found.high
    assert 0.89 <= inside / runs <= 0.99


def test_statistic_of_several_columns():
    table = np.column_stack([np.arange(6.0), 2 * np.arange(6.0)])
    found = bootstrap(table, statistic=lambda t: np.corrcoef(t.T)[0, 1])
    assert (found.value, found.low, found.high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))


def test_paired_comparison_sees_what_the_spread_hides():
    second = 10 * np.random.default_rng(0).standard_normal(30)
    first = second + 0.5 + 0.1 * np.random.default_rng(1).standard_normal(30)
    found = compare_paired(first, second)
    assert found.difference == pytest.approx((first - second).mean())
    assert 0.4 < found.low < 0.5 < found.high < 0.6 and found.share_positive == 1
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(first, second).pvalue)
    assert compare_paired(second, first).share_positive == 0


def test_wilcoxon_counts_patients():
    """Five patients, all better: p = 2 / 2⁵, however many cases each has."""
    first = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 10)
    found = compare_paired(first, 0 * first, np.repeat(list("abcde"), 10).tolist())
    assert found.wilcoxon_p == pytest.approx(2 / 32) and (found.n_groups, found.n_cases) == (5, 50)


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize("groups", [1, 2, 5, 8])
def test_no_p_is_below_the_floor(groups):
    all_better = compare_paired(np.arange(1.0, groups + 1), np.zeros(groups))
    assert all_better.wilcoxon_p == pytest.approx(signed_rank_floor(groups))


def test_a_method_against_itself():
    found = compare_paired(np.arange(5.0), np.arange(5.0))
    assert (found.difference, found.low, found.high, found.share_positive, found.wilcoxon_p) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_non_inferiority(larger_is_better):
    sign = 1 if larger_is_better else -1
    old = np.random.default_rng(0).standard_normal(50)
    new = old - sign * 0.02 + 0.01 * np.random.default_rng(1).standard_normal(50)  # worse by 0.02
    found = paired_bound(new, old, 0.05, larger_is_better)
    assert found.advantage == pytest.approx(-0.02, abs=0.005)
    assert found.bound == pytest.approx(found.advantage - 1.645 * np.std(new - old) / np.sqrt(50), abs=5e-4)
    assert found.non_inferior and not found.superior
    assert not paired_bound(new, old, 0.01, larger_is_better).non_inferior
    assert paired_bound(old, new, 0.0, larger_is_better).superior


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bootstrap([np.nan, np.nan]), "none of the 2 cases"),
        (lambda: bootstrap([]), "none of the 0 cases"),
        (lambda: bootstrap([1.0, 2.0], ["a"]), "2 cases and 1 groups"),
        (lambda: bootstrap([1.0], level=1.5), "level is 1.5"),
        (lambda: bootstrap([1.0], draws=0), "0 draws"),
        (lambda: compare_paired([1.0], [1.0, 2.0]), "from both methods"),
        (lambda: paired_bound([1.0], [1.0], -0.1, True), "margin is -0.1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_infinite_values_have_an_interval_too():
    found = bootstrap([20.0, 30.0, np.inf, np.inf], statistic=np.median)
    assert found.value == np.inf and found.low == 20 and found.high == np.inf

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Intervals and comparisons that respect who belongs together.

Several cases of one anatomy (patient) are not independent: the bootstrap draws anatomies first, then cases of each
(two-stage bootstrap, Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Both counts are in
every result.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

#: Draws of a bootstrap unless asked otherwise: percentiles of a 95 % interval are then stable to a few per cent.
DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; n_groups: anatomies or patients, n_cases: cases that could be measured."""

    value: float
    low: float
    high: float
    level: float
    n_groups: int
    n_cases: int


@dataclass(frozen=True)
class Comparison:
    """
    Two methods on the same cases. difference: mean(first - second) with its interval; share_positive: of the bootstrap
    draws; wilcoxon_p: two-sided signed-rank test on the groups' mean differences (scipy), which are independent.
    """

    difference: float
    low: float
    high: float
    level: float
    share_positive: float
    wilcoxon_p: float
    n_groups: int
    n_cases: int


@dataclass(frozen=True)
class NonInferiority:
    """
    advantage: mean by which the new method is better (negative: worse); bound: its one-sided lower bound at ``level``;
    non_inferior: bound > -margin; superior: bound > 0.
    """

    advantage: float
    bound: float
    margin: float
    level: float
    non_inferior: bool
    superior: bool
    n_groups: int
    n_cases: int


def bootstrap_draws(groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0) -> list[np.ndarray]:
    """
    Case numbers of every draw: groups with replacement, then as many cases with replacement as each drawn group has.

    Args:
        groups: the anatomy or patient of every case.
        draws: how many; seed: of NumPy's default generator.

    Raises:
        ValueError: no cases, or fewer than one draw.
    """
    if not len(groups) or draws < 1:
        raise ValueError(f"a bootstrap of {len(groups)} cases with {draws} draws is not possible; wanted at least one.")
    return _draws(tuple(groups), draws, seed)


@lru_cache(maxsize=2)  # a table asks for the same draws for every figure
def _draws(groups: tuple[Hashable, ...], draws: int, seed: int) -> list[np.ndarray]:
    cases, rng = _Grouped(groups), np.random.default_rng(seed)
    count = len(cases.names)
    return [cases.drawn(rng.integers(count, size=count), rng) for _ in range(draws)]


def joint_draws(
    first: Sequence[Hashable], second: Sequence[Hashable], draws: int = DRAWS, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """
    Case numbers of every draw of two sets: groups that both hold are drawn for both at once, as their cases are alike;
    groups of one set alone for themselves. Cases are drawn within each set.

    Args:
        first, second: the anatomy or patient of every case, with the same name in both sets for the same one.

    Raises:
        ValueError: an empty set, or fewer than one draw.
    """
    if not len(first) or not len(second) or draws < 1:
        raise ValueError(f"got {len(first)} and {len(second)} cases and {draws} draws; wanted at least one of each.")
    sets, rng = (_Grouped(first), _Grouped(second)), np.random.default_rng(seed)
    shared = [name for name in sets[0].names if name in sets[1].names]
    both = [np.array([part.names[name] for name in shared], dtype=np.int64) for part in sets]
    alone = [np.array([k for name, k in part.names.items() if name not in shared], dtype=np.int64) for part in sets]
    result = []
    for _ in range(draws):
        chosen = rng.integers(len(shared), size=len(shared)) if shared else np.arange(0)
        own = [part[rng.integers(len(part), size=len(part))] if len(part) else part for part in alone]
        one, two = (s.drawn(np.concatenate([b[chosen], o]), rng) for s, b, o in zip(sets, both, own))
        result.append((one, two))
    return result


class _Grouped:
    """Cases by group; ``names``: number of each group, in the order in which they come."""

    def __init__(self, groups: Sequence[Hashable]) -> None:
        self.names = {name: k for k, name in enumerate(dict.fromkeys(groups))}
        codes = np.array([self.names[group] for group in groups])
        self.cases, self.counts = np.argsort(codes, kind="stable"), np.bincount(codes)
        self.starts = np.cumsum(self.counts) - self.counts

    def drawn(self, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many cases with replacement from each of these groups as it has."""
        size, start = (np.repeat(part[groups], self.counts[groups]) for part in (self.counts, self.starts))
        return self.cases[start + (rng.random(len(size)) * size).astype(np.int64)]


def bootstrap(
    values: np.ndarray,
    groups: Sequence[Hashable] | None = None,
    statistic: Callable[[np.ndarray], float] = np.mean,  # type: ignore[assignment]
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """
    Percentile interval (Efron & Tibshirani 1993) of a statistic over cases.

    Args:
        values: one row a case, N or NxK; rows with NaN (not measurable) are left out and not counted.
        groups: anatomy or patient of each row; None: every case is its own.
        statistic: rows → number, for example ``np.median``; draws for which it is NaN are left out.
        level: of the interval.

    Raises:
        ValueError: lengths that differ, no case left, or a level outside (0, 1).
    """
    values, groups = _complete(values, groups)
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; wanted a number between 0 and 1.")
    drawn = np.array([statistic(values[cases]) for cases in bootstrap_draws(groups, draws, seed)], dtype=np.float64)
    low, high = _interval(drawn, level)
    return Estimate(float(statistic(values)), low, high, level, len(set(groups)), len(values))


def compare_paired(
    first: np.ndarray,
    second: np.ndarray,
    groups: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """
    Compare two methods that were measured on the same cases.

    Args:
        first, second: one number a case, in the same order; pairs with NaN are left out.
        groups, draws, level, seed: as for :func:`bootstrap`.

    Raises:
        ValueError: lengths that differ, or no complete pair.
    """
    difference, groups = _differences(first, second, groups)
    drawn = np.array([difference[cases].mean() for cases in bootstrap_draws(groups, draws, seed)])
    low, high = _interval(drawn, level)
    means = np.array([difference[[g == group for g in groups]].mean() for group in dict.fromkeys(groups)])
    p = float(stats.wilcoxon(means).pvalue) if (means != 0).any() else 1.0
    share = float((drawn > 0).mean())
    return Comparison(float(difference.mean()), low, high, level, share, p, len(means), len(difference))


def paired_bound(
    new: np.ndarray,
    old: np.ndarray,
    margin: float,
    larger_is_better: bool,
    groups: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> NonInferiority:
    """
    Is a new method at most ``margin`` worse than an old one, on the same cases?

    The paired one-sided bound: the (1 - level) quantile of the bootstrapped mean advantage. It must be at least
    -margin.

    Args:
        new, old: one number a case; margin: at least 0, in the metric's units, fixed before looking.
        larger_is_better: False for errors and distances.

    Raises:
        ValueError: a negative margin, lengths that differ, or no complete pair.
    """
    if margin < 0:
        raise ValueError(f"the margin is {margin}; wanted a number of at least 0.")
    advantage, groups = _differences(new, old, groups)
    advantage = advantage if larger_is_better else -advantage
    drawn = np.array([advantage[cases].mean() for cases in bootstrap_draws(groups, draws, seed)])
    bound = float(np.quantile(drawn, 1 - level))
    return NonInferiority(
        float(advantage.mean()), bound, margin, level, bound >= -margin, bound > 0, len(set(groups)), len(advantage)
    )


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979), in the same order."""
    order = np.argsort(ps, kind="stable")
    adjusted, highest = np.empty(len(ps)), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return [float(p) for p in adjusted]


def signed_rank_floor(groups: int) -> float:
    """Smallest p that a two-sided signed-rank test of so many groups can give, 2/2ⁿ: all differences of one sign."""
    return min(1.0, 2.0 ** (1 - groups))


def _differences(first, second, groups) -> tuple[np.ndarray, list[Hashable]]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"got {first.shape} and {second.shape} values; wanted one number a case from both methods.")
    return _complete(first - second, groups)


def _complete(values, groups) -> tuple[np.ndarray, list[Hashable]]:
    """Cases without NaN, and their groups."""
    values = np.asarray(values, dtype=np.float64)
    names = list(range(len(values))) if groups is None else list(groups)
    if len(names) != len(values):
        raise ValueError(f"got {len(values)} cases and {len(names)} groups; wanted the group of every case.")
    whole = ~np.isnan(values.reshape(len(values), -1)).any(axis=1) if len(values) else np.zeros(0, bool)
    if not whole.any():
        raise ValueError(f"none of the {len(values)} cases has a value; there is nothing to compare.")
    return values[whole], [name for name, kept in zip(names, whole) if kept]


def _interval(drawn: np.ndarray, level: float) -> tuple[float, float]:
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return float("nan"), float("nan")
    method = "linear" if np.isfinite(drawn).all() else "inverted_cdf"  # a PSNR may be infinite: no interpolation
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method=method)
    return float(low), float(high)

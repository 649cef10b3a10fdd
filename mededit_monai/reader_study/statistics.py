# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Tests by permutation, agreement of raters, and how many images the next study needs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats

#: Permutations of a test: the smallest p is 1 in so many.
PERMUTATIONS = 4999

#: Wanted of the next study.
POWER, LEVEL = 0.8, 0.05

#: No study is larger.
MOST_IMAGES = 10_000


def permutation_p(
    values: np.ndarray, arms: Sequence[Hashable], blocks: Sequence[Hashable], seed: int = 0, draws: int = PERMUTATIONS
) -> float:
    """
    Do arms differ? Their names are shuffled among the images of a block, as they could have been dealt.

    Two-sided, by the spread of the arms' means: of two arms, the squared difference; of more, the sum of squares
    between them. The images are what is shuffled, with all that raters said about them, so that raters need not be
    independent.
    p = (1 + draws at least as extreme) / (1 + draws) (Phipson & Smyth 2010), never 0.

    Args:
        values: an image's mean over the raters, N.
        arms: of the images, at least two different ones.
        blocks: case of the images where all arms show the same cases, else stratum.

    Raises:
        ValueError: fewer than two arms.
    """
    names = list(dict.fromkeys(arms))
    if len(names) < 2:
        raise ValueError(f"got the arms {names}; wanted at least two to compare.")
    labels = np.array([names.index(arm) for arm in arms])
    values = np.asarray(values, dtype=np.float64)
    numbers = {block: k for k, block in enumerate(dict.fromkeys(blocks))}
    place = np.array([numbers[block] for block in blocks])
    sorted_places = np.argsort(place, kind="stable")
    labels, values, place = labels[sorted_places], values[sorted_places], place[sorted_places]
    counts = np.bincount(labels)

    def spread(drawn: np.ndarray) -> np.ndarray:
        """Sum of squares between arms, for each row of arms."""
        sums = np.stack([((drawn == k) * values).sum(axis=1) for k in range(len(names))], axis=1)
        return (counts * (sums / counts - values.mean()) ** 2).sum(axis=1)

    rng = np.random.default_rng(seed)
    # The blocks are sorted, so that what is shuffled stays within them.
    shuffled = labels[np.argsort(place + rng.random((draws, len(labels))), axis=1)]
    as_extreme = int((spread(shuffled) >= spread(labels[None]) - 1e-9).sum())
    return (1 + as_extreme) / (1 + draws)


def weighted_kappa(pairs: np.ndarray) -> float:
    """
    Cohen's kappa with quadratic weights: 1 − E(x − y)² / E(x − y′)², y′ independent of x (Cohen 1968).

    The same as ``sklearn.metrics.cohen_kappa_score(x, y, weights="quadratic")`` on whole numbers without gaps, and
    quick enough for a bootstrap.

    Args:
        pairs: Nx2, two answers about each image.

    Returns:
        a number up to 1; NaN where all answers are the same, which says nothing about agreement.
    """
    x, y = np.asarray(pairs, dtype=np.float64).T
    by_chance = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(1 - ((x - y) ** 2).mean() / by_chance) if by_chance > 0 else float("nan")


def variance_parts(values: np.ndarray) -> tuple[float, float | None]:
    """
    Variance of images, and of what raters say differently about one image (a two-way layout without repeats).

    Args:
        values: RxN, raters by images (or differences between two arms, by cases).

    Returns:
        variance of the images' true values, at least 0, and the residual variance of a single rating; of a single rater
        both together, and None.
    """
    raters, images = values.shape
    between = float(values.mean(axis=0).var(ddof=1)) if images > 1 else float("nan")
    if raters < 2 or images < 2:
        return between, None
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    residual = float((rest**2).sum() / ((raters - 1) * (images - 1)))
    return max(0.0, between - residual / raters), residual


def spread_with(parts: tuple[float, float | None], raters: int) -> float:
    """Standard deviation of an image's mean over so many raters, from :func:`variance_parts`."""
    images, residual = parts
    return float(np.sqrt(images + (residual or 0.0) / raters))


def power_of(images: int, spread: float, difference: float, paired: bool, level: float = LEVEL) -> float:
    """
    Power of the two-sided t test at a true difference (Cohen 1988, section 2).

    Args:
        images: of each arm; spread: standard deviation, of the paired differences or within an arm.
        paired: whether both arms show the same cases.
    """
    if images < 2:
        return 0.0
    if spread == 0:
        return 1.0
    freedom = images - 1 if paired else 2 * (images - 1)
    shift = difference / spread * np.sqrt(images if paired else images / 2)
    bound = stats.t.ppf(1 - level / 2, freedom)
    if shift == 0:
        return level
    if shift > bound + 40:  # where the noncentral distributions of scipy may give NaN
        return 1.0
    return float(stats.ncf.sf(bound**2, 1, freedom, shift**2))  # of t², which is both tails of the noncentral t


def images_needed(spread: float, difference: float, paired: bool, power: float = POWER) -> int | None:
    """The fewest images of each arm with which a difference is found with this power; None: more than 10 000."""
    low, high = 1, MOST_IMAGES
    if power_of(high, spread, difference, paired) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, spread, difference, paired) >= power else (middle, high)
    return high


def difference_found(images: int, spread: float, paired: bool, power: float = POWER) -> float:
    """The smallest difference that so many images of each arm find with this power."""
    low, high = 0.0, 100.0 * max(spread, 1e-9)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(images, spread, middle, paired) >= power else (middle, high)
    return high

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
How well any estimate of the mean can do: indirect effects differ between people with the same scan and lesion.

An estimator that sees the scan and the lesion can at best give the mean of what may happen to such a person. Where the
simulator draws the hidden part of a case again and again, that mean is known, and with it r, slope and error of a
perfect one. With change = gain · a, gain of mean 1 and independent of a: r² = slope = var(a) / var(gain · a), and the
calibration (slope of the truth on the estimate) is 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mededit_monai.metrics.statistics import DRAWS, bootstrap
from mededit_monai.metrics.truth import Agreement, change_agreement, pearson, slope


@dataclass(frozen=True)
class Ceiling:
    """
    own: the perfect mean against the first draw of every case, which is what a cohort holds. r, slope, calibration,
    error: the same with every draw as the truth in turn, averaged: what another cohort of such cases would show. draws:
    of each case; scatter: s.d. over the draws of a case, root mean square over the cases.
    """

    own: Agreement
    r: float
    slope: float
    calibration: float
    error: float
    draws: int
    scatter: float


def perfect_mean(draws: np.ndarray, truth: int = 0) -> np.ndarray:
    """Mean of all draws of each case but the one that is the truth, NxK → N: it must not know that one."""
    values = np.asarray(draws, dtype=np.float64)
    return (values.sum(axis=1) - values[:, truth]) / (values.shape[1] - 1)


def ceiling(
    draws: np.ndarray,
    sizes: np.ndarray,
    groups: Sequence[Hashable] | None = None,
    resamples: int = DRAWS,
    seed: int = 0,
) -> Ceiling:
    """
    What the perfect mean reaches.

    Args:
        draws: change of each case in each draw, NxK, the cohort's own first; K ≥ 3. A mean of K − 1 draws has an error
            of its own: 1 / (K − 1) of the variance that it leaves.
        sizes: of each case's lesion; groups: its anatomy.
        resamples, seed: of the bootstrap of ``own``.

    Raises:
        ValueError: other shapes, fewer than three draws or complete cases.
    """
    values = np.asarray(draws, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 3 or len(values) != len(sizes):
        raise ValueError(
            f"got draws {values.shape} of {len(sizes)} cases; wanted a row a case, of at least three draws."
        )
    own = change_agreement(perfect_mean(values), values[:, 0], sizes, groups, resamples, seed)
    pairs = [(perfect_mean(values, k), values[:, k]) for k in range(values.shape[1])]
    return Ceiling(
        own=own,
        r=float(np.mean([pearson(*pair) for pair in pairs])),
        slope=float(np.mean([slope(*pair) for pair in pairs])),
        calibration=float(np.mean([slope(true, mean) for mean, true in pairs])),
        error=float(np.mean([np.abs(mean - true).mean() for mean, true in pairs])),
        draws=values.shape[1],
        scatter=float(np.sqrt(values.var(axis=1, ddof=1).mean())),
    )


def mean_of(values: Sequence[float], groups: Sequence[Hashable], seed: int = 0) -> dict[str, float] | None:
    """Mean over cases with its interval, as ``value low high``; None where no case has a value."""
    known = np.asarray(values, dtype=np.float64)
    if np.isnan(known).all():
        return None
    found = bootstrap(known, groups, seed=seed)
    return {"value": found.value, "low": found.low, "high": found.high}

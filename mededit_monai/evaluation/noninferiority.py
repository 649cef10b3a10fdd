# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is a fast setting no worse than the reference on the same cases? Paired one-sided bounds, margins fixed before."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from mededit_monai.metrics.statistics import NonInferiority, bootstrap_draws, paired_bound

#: Columns of ``metrics.csv`` by the figure of a margin; whether larger is better.
PER_CASE = {"dice": ("adherence_dice", True), "ventricle_error": ("against_truth_ventricle_change_error", False)}

#: The figure that says whether the patient's own anatomy is kept.
ZONE = "truth_error_zone"


@dataclass(frozen=True)
class RowCases:
    """
    What is known of a row's cases, all in one order.

    Args:
        figures: column of ``metrics.csv`` → one number a case; groups: anatomy of each.
        features: NxD of the edits; None without.
    """

    figures: Mapping[str, np.ndarray]
    groups: Sequence[Hashable]
    features: np.ndarray | None

    def first(self, count: int) -> RowCases:
        """The first so many cases."""
        features = None if self.features is None else self.features[:count]
        return RowCases({k: v[:count] for k, v in self.figures.items()}, list(self.groups)[:count], features)


def against_reference(
    row: RowCases, reference: RowCases, real: np.ndarray | None, margins: Mapping[str, float], seed: int = 0
) -> dict[str, Any]:
    """
    A row against the reference on the cases that both have (the first of each, since rows share their order).

    Args:
        real: MxD features that the KID is measured to; None: no KID.
        margins: ``dice`` absolute; ``kid`` and ``ventricle_error`` as a share of the reference's own figure.

    Returns:
        for each figure a :class:`NonInferiority` as dictionary (None: not measured on both), ``no_worse`` (all of them;
        None if one is missing), ``zone_share`` (the row's error in M∖p over the reference's) and ``n_cases``.
    """
    count = min(len(row.groups), len(reference.groups))
    row, reference = row.first(count), reference.first(count)
    found: dict[str, NonInferiority | None] = {}
    for name, (column, larger) in PER_CASE.items():
        new, old = (part.figures.get(column, np.full(count, np.nan)) for part in (row, reference))
        relative = 1.0 if name == "dice" else float(np.nanmean(old)) if not np.isnan(old).all() else float("nan")
        try:
            found[name] = paired_bound(new, old, margins[name] * relative, larger, row.groups, seed=seed)
        except ValueError:  # nothing that both have
            found[name] = None
    found["kid"] = kid_bound(row, reference, real, margins["kid"], seed)
    known = [result.non_inferior for result in found.values() if result is not None]
    zone = [np.nanmean(part.figures[ZONE]) for part in (row, reference)]
    return {
        **{name: None if result is None else asdict(result) for name, result in found.items()},
        "no_worse": all(known) if len(known) == len(found) else None,
        "zone_share": float(zone[0] / zone[1]) if zone[1] else None,
        "n_cases": count,
    }


def kid_bound(
    row: RowCases, reference: RowCases, real: np.ndarray | None, margin: float, seed: int = 0, level: float = 0.95
) -> NonInferiority | None:
    """
    Bound on the rise of the KID over the reference's, by a paired bootstrap (anatomies, then cases) of the edits.

    The kernel is :func:`mededit_monai.metrics.realism.squared_mmd`'s; pairs of one image with itself are left out, also
    where a draw holds it twice. The real set is fixed, and its own term cancels in the difference.

    Args:
        margin: share of the reference's KID.

    Returns:
        None without features, or where all draws hold one image.
    """
    if real is None or row.features is None or reference.features is None or len(row.groups) < 2:
        return None
    within = [polynomial_kernel(part.features, degree=3, coef0=1) for part in (row, reference)]
    across = [polynomial_kernel(part.features, real, degree=3, coef0=1).mean(axis=1) for part in (row, reference)]
    everything = polynomial_kernel(real, degree=3, coef0=1)
    own = (everything.sum() - np.trace(everything)) / (len(real) * (len(real) - 1))

    def distances(cases: np.ndarray) -> np.ndarray:
        other = cases[:, None] != cases[None]
        pairs = [kernel[np.ix_(cases, cases)][other].mean() for kernel in within]
        return np.array([pair - 2 * part[cases].mean() for pair, part in zip(pairs, across)])

    whole = distances(np.arange(len(row.groups)))
    draws = [cases for cases in bootstrap_draws(row.groups, seed=seed) if len(set(cases)) > 1]
    if not draws:
        return None
    drawn = np.array([np.subtract(*distances(cases)[::-1]) for cases in draws])  # reference - row: the advantage
    bound, allowed = float(np.quantile(drawn, 1 - level)), margin * abs(float(whole[1] + own))
    advantage = float(whole[1] - whole[0])
    counts = (len(set(row.groups)), len(row.groups))
    return NonInferiority(advantage, bound, allowed, level, bound > -allowed, bound > 0, *counts)

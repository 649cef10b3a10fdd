# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is one row better than another, or no worse, on the same cases? Paired differences with intervals, tests, bounds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from mededit_monai.evaluation.columns import COLUMNS, Column
from mededit_monai.evaluation.scores import Scorer, values_of
from mededit_monai.evaluation.tables import Table
from mededit_monai.metrics.realism import Features, squared_mmd
from mededit_monai.metrics.statistics import (
    NonInferiority,
    bootstrap_draws,
    compare_paired,
    holm,
    paired_bound,
    signed_rank_floor,
)

#: Rows that all others are compared with, where a table has them.
BASES = ("mededit", "morph")


def comparisons(table: Table, columns: Sequence[Column], scorer: Scorer) -> list[dict[str, Any]]:
    """
    The rows of :data:`BASES` against every other row of a table.

    Columns of case means: mean of first minus second over the cases that both have, two-level bootstrap, signed-rank
    test on the anatomies' means, adjusted by Holm's method over all tests of the table. FID and combined: difference
    over the same resamples of edits and real slices; no p.

    Returns:
        ``row against column difference low high p p_holm p_floor n_cases n_groups`` each; p_floor: what no p of so many
        anatomies can be below.
    """
    keys, measured = {row.name: table.row_key(row) for row in table.rows}, {row for row, _ in scorer.lines}
    found = []
    for base in (keys[name] for name in BASES if name in keys):
        for other in keys.values():
            if other == base or not {base, other} <= measured:
                continue
            for column in columns:
                result = _compare(base, other, column, scorer, table.condition)
                if result is not None:
                    found.append({"row": base, "against": other, "column": column.key, **result})
    tests: dict[tuple[frozenset[str], str], list[dict[str, Any]]] = {}  # two bases are held against each other twice
    for item in (item for item in found if item["p"] is not None):
        tests.setdefault((frozenset((item["row"], item["against"])), item["column"]), []).append(item)
    for items, adjusted in zip(tests.values(), holm([items[0]["p"] for items in tests.values()])):
        for item in items:
            item |= {"p_holm": adjusted, "p_floor": signed_rank_floor(item["n_groups"])}
    return found


def _compare(first: str, second: str, column: Column, scorer: Scorer, condition: str) -> dict[str, Any] | None:
    groups = scorer.groups(first, column.pairing)
    if groups != scorer.groups(second, column.pairing):
        return None  # one of them was not measured on this pairing
    if column.per_case:
        values = [scorer.values(row, column) for row in (first, second)]
        if values[0] is None or values[1] is None or np.isnan(values[0] - values[1]).all():
            return None
        test = compare_paired(values[0], values[1], groups, seed=scorer.seed)
        return {
            "difference": test.difference,
            "low": test.low,
            "high": test.high,
            "p": test.wilcoxon_p,
            "n_cases": test.n_cases,
            "n_groups": test.n_groups,
        }
    if column.kind == "combined" or column.statistic == "fid":
        figures = [scorer.figure(row, column, condition) for row in (first, second)]
        draws = [scorer.resamples(row, column, condition) for row in (first, second)]
        if figures[0] is None or figures[1] is None or draws[0] is None or draws[1] is None:
            return None
        low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
        difference = figures[0]["value"] - figures[1]["value"]
        counts = {"n_cases": len(groups), "n_groups": len(set(groups))}
        return {"difference": difference, "low": float(low), "high": float(high), "p": None, **counts}
    return None


def against_reference(
    scorer: Scorer, row: str, reference: str, pairing: str, margins: Mapping[str, float], real: Features | None
) -> dict[str, Any]:
    """
    Is a row no worse than the reference? On the cases that both have (the first of each, since rows share their order).

    Args:
        margins: fixed before looking, by column: ``dice`` absolute, all others as a share of the reference's own
            figure.
        real: features that the KID is measured to; None: no KID.

    Returns:
        for each figure a :class:`NonInferiority` as dictionary (None: not measured on both), ``no_worse`` (all of them;
        None if one is missing), ``zone_share`` (the row's error in M∖p over the reference's) and ``n_cases``.
    """
    keys = (row, reference)
    count = min(len(scorer.lines[key, pairing]) for key in keys)
    lines, groups = [scorer.lines[key, pairing][:count] for key in keys], scorer.groups(row, pairing)[:count]
    found: dict[str, NonInferiority | None] = {}
    for name in (key for key in margins if key != "kid"):
        new, old = (values_of(part, COLUMNS[name].figures[0]) for part in lines)
        allowed = margins[name] * (1.0 if name == "dice" or np.isnan(old).all() else float(np.nanmean(old)))
        try:
            found[name] = paired_bound(new, old, allowed, COLUMNS[name].better == "higher", groups, seed=scorer.seed)
        except ValueError:  # nothing that both have
            found[name] = None
    if "kid" in margins:
        sets = [scorer.set_scores(key, pairing, "") for key in keys]
        features = [None if part is None else part.features.values[:count] for part in sets]
        found["kid"] = kid_bound(*features, groups, real, margins["kid"], scorer.seed)
    known = [result.non_inferior for result in found.values() if result is not None]
    zone = [np.nanmean(values_of(part, COLUMNS["zone_error"].figures[0])) for part in lines]
    return {
        **{name: None if result is None else asdict(result) for name, result in found.items()},
        "no_worse": all(known) if len(known) == len(found) else None,
        "zone_share": float(zone[0] / zone[1]) if zone[1] else None,
        "n_cases": count,
    }


def kid_bound(
    row: np.ndarray | None,
    reference: np.ndarray | None,
    groups: Sequence[Hashable],
    real: Features | None,
    margin: float,
    seed: int = 0,
    level: float = 0.95,
) -> NonInferiority | None:
    """
    Bound on the rise of the KID over the reference's, by a paired bootstrap (anatomies, then cases) of the edits.

    The KID is :func:`mededit_monai.metrics.realism.squared_mmd`'s, over pairs of two anatomies. The real set is fixed,
    and its own term cancels in the difference.

    Args:
        row, reference: features; groups: of each case; real: features, with groups; margin: share of the reference's
            KID.

    Returns:
        None without features, or where all cases or all real images are of one anatomy.
    """
    if real is None or row is None or reference is None:
        return None
    patients, sets = (list(groups), list(real.groups or ())), (row, reference)
    if min(len(set(part)) for part in patients) < 2:
        return None
    codes = np.array([patients[0].index(group) for group in groups])
    other = np.array([[one != two for two in patients[1]] for one in groups])
    within = [polynomial_kernel(part, degree=3, coef0=1) for part in sets]
    across = [(polynomial_kernel(part, real.values, degree=3, coef0=1) * other).sum(axis=1) for part in sets]
    kids = [squared_mmd(part, real.values, patients) for part in sets]

    def distances(cases: np.ndarray) -> np.ndarray:
        apart = codes[cases][:, None] != codes[cases][None]
        pairs = [kernel[np.ix_(cases, cases)][apart].mean() for kernel in within]
        return np.array([pair - 2 * part[cases].sum() / other[cases].sum() for pair, part in zip(pairs, across)])

    draws = [cases for cases in bootstrap_draws(groups, seed=seed) if len(set(codes[cases])) > 1]
    drawn = np.array([np.subtract(*distances(cases)[::-1]) for cases in draws])  # reference - row: the advantage
    bound, allowed = float(np.quantile(drawn, 1 - level)), margin * abs(kids[1])
    counts = (len(set(groups)), len(groups))
    return NonInferiority(kids[1] - kids[0], bound, allowed, level, bound >= -allowed, bound > 0, *counts)

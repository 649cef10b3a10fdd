# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is one row better than another on the same cases? Paired differences with intervals, and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mededit_monai.evaluation.columns import Column
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.evaluation.tables import Table
from mededit_monai.metrics.statistics import compare_paired

#: Rows that all others are compared with, where a table has them.
BASES = ("mededit", "prior")


def comparisons(table: Table, columns: Sequence[Column], scorer: Scorer, measured: set[str]) -> list[dict[str, Any]]:
    """
    MedEdit, and the prior-conditioned editor, against every other row of a table.

    Columns of case means: mean of first minus second over the cases that both have, two-level bootstrap, signed-rank
    test on the anatomies' means. FID and combined: difference over the same resamples of edits and real slices; no p.

    Args:
        measured: keys of the rows that were.

    Returns:
        ``row against column difference low high p n_cases n_groups`` each.
    """
    keys = {row.name: table.row_key(row) for row in table.rows}
    found = []
    for base in (keys[name] for name in BASES if name in keys):
        for other in keys.values():
            if other == base or not {base, other} <= measured:
                continue
            for column in columns:
                result = _compare(base, other, column, scorer, table.condition)
                if result is not None:
                    found.append({"row": base, "against": other, "column": column.key, **result})
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

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is one row better than another by every score, whatever a score is made of? On the same cases, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mededit_monai.datasets.evaluation import group_of
from mededit_monai.evaluation.columns import COLUMNS, Column
from mededit_monai.evaluation.scores import lesions_of, values_of
from mededit_monai.evaluation.write import read_lines
from mededit_monai.metrics.lesion_features import lesion_test
from mededit_monai.metrics.statistics import DRAWS, bootstrap_draws
from mededit_monai.metrics.truth import pearson, slope

#: Scores of the release check by which an editor must be better than the one that it takes the place of.
SCORES = ("zone_error", "outside_error", "contrast", "texture", "ventricle_r", "ventricle_slope", "lesion_auc")

#: Rows (a line of ``metrics.csv`` a case) of one method on one pairing.
Lines = Sequence[Mapping[str, str]]

_AGREEMENTS: dict[str, Callable[[np.ndarray], float]] = {
    "r": lambda t: pearson(t[:, 0], t[:, 1]),
    "slope": lambda t: slope(t[:, 0], t[:, 1]),
    "calibration": lambda t: slope(t[:, 1], t[:, 0]),
}


@dataclass(frozen=True)
class Advantage:
    """
    new, old: the two figures. advantage: how much nearer to the ideal the new one is (smaller error, larger r, slope
    nearer to 1), with its 95 % interval over the cases that both have. better: advantage > 0; shown: low > 0.
    """

    column: str
    new: float
    old: float
    advantage: float
    low: float
    high: float
    better: bool
    shown: bool
    n_cases: int


def distance_from_ideal(value: float, better: str) -> float:
    """What is to be small: the value, its negative, or its distance from 1, for ``lower``, ``higher`` and ``one``."""
    return {"lower": value, "higher": -value, "one": abs(value - 1)}[better]


def advantages(
    table: str | Path, new: str, old: str, keys: Sequence[str] = SCORES, draws: int = DRAWS, seed: int = 0
) -> list[Advantage]:
    """
    Score by score, a row against another.

    Means, ratios and agreements: paired bootstrap over anatomies, then cases, of the difference of the distances from
    the ideal. Two-sample tests: as if their two areas were independent, which makes the interval too wide, if anything.

    Args:
        table: ``metrics.csv`` of an evaluation; new, old: keys of its rows.
        keys: of columns.

    Returns:
        those that can be computed for both rows.
    """
    lines = read_lines(Path(table))
    found = []
    for column in (COLUMNS[key] for key in keys):
        rows = [
            {one["case_id"]: one for one in lines if (one["row"], one["pairing"]) == (row, column.pairing)}
            for row in (new, old)
        ]
        shared = [case for case in rows[0] if case in rows[1]]
        if len(shared) > 2:
            pair = [[row[case] for case in shared] for row in rows]
            known = _lesions(column, pair, seed) if column.kind == "lesion" else _paired(column, pair, draws, seed)
            found += [] if known is None else [known]
    return found


def is_better(found: Sequence[Advantage], keys: Sequence[str] = SCORES) -> dict[str, object]:
    """
    Whether every score is better.

    Returns:
        ``better`` (by each figure; False if one is missing), ``shown`` (each by its whole interval), ``missing`` and
        ``scores``, each as a dictionary.
    """
    missing = [key for key in keys if key not in {one.column for one in found}]
    return {
        "better": not missing and all(one.better for one in found),
        "shown": not missing and all(one.shown for one in found),
        "missing": missing,
        "scores": [asdict(one) for one in found],
    }


def _paired(column: Column, pair: Sequence[Lines], draws: int, seed: int) -> Advantage | None:
    tables = [np.stack([values_of(_numbers(lines), name) for name in column.figures[:2]], axis=1) for lines in pair]
    whole = ~np.isnan(np.concatenate(tables, axis=1)).any(axis=1)
    if whole.sum() < 3:
        return None
    tables, groups = [one[whole] for one in tables], [group_of(one) for one, kept in zip(pair[0], whole) if kept]
    measure = _measure(column)

    def gain(cases: np.ndarray) -> float:
        first, second = (distance_from_ideal(measure(one[cases]), column.better) for one in tables)
        return second - first

    drawn = np.array([gain(cases) for cases in bootstrap_draws(groups, draws, seed)])
    values = [measure(one) for one in tables]
    if any(np.isnan(values)) or np.isnan(drawn).all():
        return None
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return _advantage(column, values, (float(low), float(high)), int(whole.sum()))


def _measure(column: Column) -> Callable[[np.ndarray], float]:
    if column.kind == "mean":
        return lambda t: float(t[:, 0].mean())
    if column.kind == "ratio":
        return lambda t: float(t[:, 0].mean() / t[:, 1].mean())
    return _AGREEMENTS[column.statistic]


def _lesions(column: Column, pair: Sequence[Lines], seed: int) -> Advantage | None:
    scores = []
    for lines in pair:
        features = lesions_of(_numbers(lines), str(lines[0].get("condition", "mask")))
        if features is None:
            return None
        try:
            scores.append(lesion_test(*features, [group_of(one) for one in lines], column.statistic, seed=seed))
        except ValueError:  # too few lesions, or anatomies
            return None
    reach = 1.96 * float(np.hypot(scores[0].sd, scores[1].sd))
    values = [score.value for score in scores]
    difference = values[1] - values[0]
    return _advantage(column, values, (difference - reach, difference + reach), scores[0].n_edits)


def _advantage(column: Column, values: Sequence[float], ends: tuple[float, float], cases: int) -> Advantage:
    new, old = (distance_from_ideal(value, column.better) for value in values)
    return Advantage(column.key, values[0], values[1], old - new, *ends, old > new, ends[0] > 0, cases)


def _numbers(lines: Lines) -> list[dict[str, float]]:
    """Figures of lines as text; what is empty is missing."""
    return [{key: float(text) for key, text in line.items() if _is_number(text)} for line in lines]


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True

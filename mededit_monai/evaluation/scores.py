# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From the cases' figures and the sets' features to the figures of the tables, with intervals and counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mededit_monai.datasets.evaluation import group_of
from mededit_monai.evaluation.columns import Column
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.metrics.lesion_features import OF_REGIONS, lesion_test
from mededit_monai.metrics.realism import RealismScore
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.metrics.truth import Agreement, change_agreement

#: Whose features a column of ``metrics.csv`` holds: the edit's, the true lesion's.
_OF = ("_edit_", "_true_")

#: A figure of a table: value, low, high, n_cases, n_groups; None: not measured.
Figure = dict[str, Any] | None

#: Lines of ``metrics.csv``, and all by row and pairing.
Cases = Sequence[Mapping[str, Any]]
Lines = Mapping[tuple[str, str], Cases]


def adherence_figure(condition: str) -> str:
    """The Dice that goes into the combined figure: of boxes where boxes were the condition."""
    return "boxes_box_dice" if condition == "box" else "adherence_dice"


class SetScores:
    """
    Realism of one row with one extractor.

    Args:
        judge: holds the real slices.
        edits: NxHxW in [0, 1], times brain; groups: of each.
    """

    def __init__(self, judge: RealismJudge, edits: np.ndarray, groups: Sequence[str]) -> None:
        self.judge, self.groups = judge, list(groups)
        self.features = judge.features(edits, self.groups)

    @cached_property
    def scores(self) -> dict[str, RealismScore | None]:
        """``fid``, ``kid`` and ``auc``."""
        return self.judge.scores(self.features)

    @cached_property
    def fids(self) -> np.ndarray | None:
        """FIDs of resampled sets, shifted so that their mean is the row's FID; None without one."""
        if self.scores["fid"] is None:
            return None
        drawn = self.judge.resampled(self.features)
        return drawn - drawn.mean() + self.scores["fid"].value

    def combined(self, dice: np.ndarray) -> tuple[float, np.ndarray] | None:
        """
        (1 - Dice) x FID, and its resamples: Dice and FID of the same resampled edits.

        Args:
            dice: of each edit, in the order of the set.
        """
        if self.fids is None or np.isnan(dice).any():
            return None
        shares = np.array([1 - dice[cases].mean() for cases, _ in self.judge.draws(self.groups)])  # as the FIDs' sets
        return float((1 - dice.mean()) * self.scores["fid"].value), shares * self.fids  # type: ignore[union-attr]


class Scorer:
    """
    Figures of any row and column, each computed once.

    Args:
        lines: of ``metrics.csv``.
        sets: (row, pairing, ending of the extractor) → realism of the row; asked for when it is needed.
        seed: of every bootstrap.
        truths: condition → the row of the true images.
    """

    def __init__(
        self,
        lines: Lines,
        sets: Callable[[str, str, str], SetScores | None],
        seed: int = 0,
        truths: Mapping[str, str] | None = None,
    ) -> None:
        self.lines, self.seed, self.truths = lines, seed, truths or {}
        self._make = sets
        self._sets: dict[tuple[str, str, str], SetScores | None] = {}
        self._agreements: dict[tuple, Agreement] = {}
        self._figures: dict[tuple, Figure] = {}

    def set_scores(self, row: str, pairing: str, ending: str) -> SetScores | None:
        """Realism of a row; None where it has no edits."""
        key = (row, pairing, ending)
        if key not in self._sets:
            self._sets[key] = self._make(row, pairing, ending)
        return self._sets[key]

    def figure(self, row: str, column: Column, condition: str) -> Figure:
        """A row's figure in a column; None where it was not or cannot be measured."""
        key = (row, column.key, column.pairing, condition)
        if key not in self._figures:
            compute, cases = getattr(self, f"_{column.kind}"), self.lines.get((row, column.pairing), ())
            try:
                self._figures[key] = compute(row, column, cases, condition) if cases else None
            except ValueError:  # no case has the figure, or too few have it
                self._figures[key] = None
        return self._figures[key]

    def values(self, row: str, column: Column) -> np.ndarray | None:
        """A per-case figure in the order of the cases; None where the row does not have it."""
        cases = self.lines.get((row, column.pairing), ())
        return values_of(cases, column.figures[0]) if cases and column.figures[0] in cases[0] else None

    def groups(self, row: str, pairing: str) -> list[str]:
        """Anatomy (else patient) of every case of a row."""
        return _groups(self.lines.get((row, pairing), ()))

    def resamples(self, row: str, column: Column, condition: str) -> np.ndarray | None:
        """Resampled FIDs or combined figures of a row; None where there are none."""
        found = self.set_scores(row, column.pairing, column.extractor)
        if found is None:
            return None
        if column.kind in ("set", "excess"):  # what is taken off for the truth cancels between two rows
            return found.fids
        dice = values_of(self.lines[row, column.pairing], adherence_figure(condition))
        combined = found.combined(dice)
        return None if combined is None else combined[1]

    def _mean(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        return _figure(bootstrap(values_of(cases, column.figures[0]), _groups(cases), seed=self.seed))

    def _ratio(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        table = np.stack([values_of(cases, name) for name in column.figures], axis=1)
        return _figure(bootstrap(table, _groups(cases), lambda t: t[:, 0].mean() / t[:, 1].mean(), seed=self.seed))

    def _agreement(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        key = (row, column.pairing, column.figures)
        if key not in self._agreements:  # one bootstrap for r, slope and partial r
            columns = [values_of(cases, name) for name in column.figures]
            self._agreements[key] = change_agreement(*columns, _groups(cases), seed=self.seed)
        return _figure(getattr(self._agreements[key], column.statistic))

    def _least(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        return self._extreme(np.nanmin, column, cases)

    def _most(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        return self._extreme(np.nanmax, column, cases)

    @staticmethod
    def _extreme(choose: Callable[[np.ndarray], float], column: Column, cases: Cases) -> Figure:
        """Of all cases; a bootstrap says nothing of an extreme, so there is no interval."""
        values = values_of(cases, column.figures[0])
        known = ~np.isnan(values)
        if not known.any():
            return None
        groups = {group for group, there in zip(_groups(cases), known) if there}
        return _numbers(float(choose(values)), float("nan"), float("nan"), int(known.sum()), len(groups))

    def _lesion(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        both = lesions_of(cases, condition)
        if both is None:
            return None
        score = lesion_test(*both, _groups(cases), column.statistic, seed=self.seed)
        known = np.all([np.isfinite(part).any(axis=1) for part in both], axis=0)
        groups = {group for group, there in zip(_groups(cases), known) if there}
        return _numbers(score.value, score.low, score.high, score.n_edits, len(groups))

    def _set(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        found = self.set_scores(row, column.pairing, column.extractor)
        score = None if found is None else found.scores[column.statistic]
        if found is None or score is None:
            return None
        return _numbers(score.value, score.low, score.high, score.n_edits, len(set(found.groups)))

    def _excess(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        """A row's distance minus the truth's; interval of the FID alone, over resamples of either."""
        keys = (row, self.truths.get(condition, ""))
        sets = [self.set_scores(key, column.pairing, column.extractor) for key in keys]
        if sets[0] is None or sets[1] is None:
            return None
        scores = [one.scores[column.statistic] for one in sets]  # type: ignore[union-attr]
        if scores[0] is None or scores[1] is None:
            return None
        low = high = float("nan")
        if column.statistic == "fid" and keys[0] != keys[1]:
            drawn = sets[0].fids - sets[1].fids  # type: ignore[operator]
            low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
        groups = len(set(sets[0].groups))
        return _numbers(scores[0].value - scores[1].value, low, high, scores[0].n_edits, groups)

    def _combined(self, row: str, column: Column, cases: Cases, condition: str) -> Figure:
        found = self.set_scores(row, column.pairing, column.extractor)
        pair = None if found is None else found.combined(values_of(cases, adherence_figure(condition)))
        if found is None or pair is None:
            return None
        low, high = np.quantile(pair[1], [0.025, 0.975]).clip(min=0)  # shifted resamples may fall below
        return _numbers(pair[0], float(low), float(high), len(cases), len(set(found.groups)))


def lesions_of(cases: Cases, condition: str) -> tuple[np.ndarray, np.ndarray] | None:
    """
    Features of a row's lesions and of the true ones, NxK each; None where they were not measured. Those of a tumour's
    regions count only for editors that are told of the regions: no other can put them where the truth has them.
    """
    names = sorted({name for case in cases for name in case if name.startswith("features_edit_")})
    if condition != "regions":
        names = [name for name in names if name.removeprefix("features_edit_") not in OF_REGIONS]
    if not names:
        return None
    found = [np.stack([values_of(cases, name.replace("_edit_", of, 1)) for name in names], axis=1) for of in _OF]
    return found[0], found[1]


def _groups(cases: Cases) -> list[str]:
    return [group_of(case) for case in cases]


def values_of(cases: Cases, name: str) -> np.ndarray:
    """A figure of every case; NaN where a case does not have it."""
    return np.array([case.get(name, float("nan")) for case in cases], dtype=np.float64)


def _figure(found: Any) -> Figure:
    return _numbers(found.value, found.low, found.high, found.n_cases, found.n_groups)


def _numbers(value: float, low: float, high: float, cases: int, groups: int) -> Figure:
    if value != value:
        return None
    low, high = (None if end != end else end for end in (low, high))  # type: ignore[assignment]
    return {"value": value, "low": low, "high": high, "n_cases": cases, "n_groups": groups}

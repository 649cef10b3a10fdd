# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The trivial predictor of indirect effects: a linear regression on the lesion's size, fitted on the training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.metrics.carried import carried_change, lesion_size
from mededit_monai.metrics.displacement_metrics import SIGN_BOUND
from mededit_monai.metrics.indirect import lesion_side, midline_shift_from_ventricles, ventricle_sizes
from mededit_monai.metrics.truth import sign_right

#: What a case must hold to be fitted.
KEYS = ("pathology", "brain", "prior_ventricles", "ventricles")

#: Cases of the training split that are read: two numbers are fitted.
LARGEST = 600


@dataclass(frozen=True)
class AreaRegression:
    """
    change = intercept + slope x size.

    Args:
        ventricles, midline: (intercept, slope) of the ventricles' change (mm² by mm², ml by ml) and of the midline
            shift (mm by mm²); None where the training split shows none, and for volumes.
        cases: fitted on; volumes: whether they are volumes, which no judge measures: only carried labels do.
    """

    ventricles: tuple[float, float]
    midline: tuple[float, float] | None
    cases: int
    volumes: bool = False

    def figures(self, case: Mapping[str, Any], spacing: float) -> dict[str, float]:
        """
        Predicted and true changes of a case of the datalist, under the names that the edits' figures have; those of
        carried labels where the case's true displacement is known.
        """
        area, change, shift = true_changes(case, spacing)
        predicted = self.ventricles[0] + self.ventricles[1] * area
        carried = self._carried(case, spacing, predicted, area)
        if self.volumes:
            return carried
        found = {
            "against_truth_ventricle_change_predicted": predicted,
            "against_truth_ventricle_change_true": change,
            "against_truth_ventricle_change_error": abs(predicted - change),
            "against_truth_ventricle_change_idle_error": abs(change),
            "against_truth_lesion_size": area,
        }
        if self.midline is not None:
            moved = self.midline[0] + self.midline[1] * area
            found |= {"midline_truth_shift_predicted": moved, "midline_truth_shift_true": shift}
            found |= {"midline_truth_shift_error": abs(moved - shift), "midline_truth_shift_idle_error": abs(shift)}
        return found | carried

    def _carried(self, case: Mapping[str, Any], spacing: float, predicted: float, area: float) -> dict[str, float]:
        if not case.get("displacement"):
            return {}
        labels, pathology = (read_array(case[key]).squeeze() for key in ("prior_ventricles", "pathology"))
        field = read_along_axes(case["displacement"], labels.ndim)
        true = float(carried_change(labels, field, pathology, spacing).sum())
        return {
            "carried_ventricle_change_predicted": predicted,
            "carried_ventricle_change_true": true,
            "carried_ventricle_change_error": abs(predicted - true),
            "carried_ventricle_change_idle_error": abs(true),
            "carried_sign_right": sign_right(predicted, true, SIGN_BOUND[labels.ndim]),
            "carried_lesion_size": area,
        }


def true_changes(case: Mapping[str, Any], spacing: float) -> tuple[float, float, float]:
    """
    Lesion's size (mm²; ml of a volume), the ventricles' true change in the same unit, and the true midline shift away
    from the lesion (mm; NaN for a volume); ventricles outside p, as edits are measured.
    """
    pathology, brain, before, after = (read_array(case[key]).squeeze() for key in KEYS)
    before, after = (np.where(pathology > 0, 0, labels) for labels in (before, after))
    area = lesion_size(pathology, spacing)
    change = sum(ventricle_sizes(after, spacing)) - sum(ventricle_sizes(before, spacing))
    if pathology.ndim == 3:
        return area, change * 1e-3, float("nan")
    if not (pathology > 0).any():
        return area, change, float("nan")
    away = -1 if lesion_side(pathology, brain)[0] == 2 else 1
    return area, change, away * midline_shift_from_ventricles(before, after, spacing).mean


def fit_area(cohort: str | Path, spacing: float) -> AreaRegression | None:
    """
    Fit on the cohort's training split, of which cases with remote atrophy are left out: test cases have none. None
    where it has no cases with known truth.

    Args:
        spacing: side of a model pixel in mm.
    """
    try:
        cases = read_datalist(Path(cohort) / "datalist.json", "training")
    except InputError:
        return None
    cases = [case for case in cases if not case.get("global_atrophy")]
    known = [case for case in cases if all(case.get(key) and Path(case[key]).is_file() for key in KEYS)]
    known = known[:: max(1, -(-len(known) // LARGEST))]
    if len(known) < 3:
        return None
    changes = np.array([true_changes(case, spacing) for case in known])
    ventricles = _line(changes[:, 0], changes[:, 1])
    if ventricles is None:
        return None
    volumes = read_array(known[0]["pathology"]).squeeze().ndim == 3
    return AreaRegression(ventricles, _line(changes[:, 0], changes[:, 2]), len(known), volumes)


def _line(area: Sequence[float], change: np.ndarray) -> tuple[float, float] | None:
    """Least squares; None for fewer than three complete cases or one area only."""
    area, kept = np.asarray(area), ~np.isnan(change)
    if kept.sum() < 3 or not np.ptp(area[kept]):
        return None
    slope, intercept = np.polyfit(area[kept], change[kept], 1)
    return float(intercept), float(slope)

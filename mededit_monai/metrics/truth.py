# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Against the true counterfactual, which simulated pairs have: error in the image, and in the indirect effects.

Realism rewards an edit that invents another patient's anatomy; these measures do not.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from mededit_monai.metrics.arrays import mean_over, ratio, same_shape, to_array, to_mask
from mededit_monai.metrics.statistics import DRAWS, Estimate, bootstrap


@dataclass(frozen=True)
class ZoneError:
    """Mean absolute error of the edit, of doing nothing (``idle``), and their quotient: below 1 the edit helps."""

    error: float
    idle: float
    relative: float


def zone_errors(
    edit: np.ndarray,
    truth: np.ndarray,
    prior: np.ndarray,
    pathology: np.ndarray,
    region: np.ndarray,
    brain: np.ndarray,
) -> dict[str, ZoneError]:
    """
    Mean absolute error against the true counterfactual, by zone, all within the brain.

    Args:
        edit, truth, prior: HxW[xD] in [0, 1].
        pathology, region, brain: p, M and b. Give every method the same M (dilate(p, 25) ∩ b), also one without region:
            zones must be the same to be compared.

    Returns:
        ``lesion`` (p), ``zone`` (M∖p), ``outside`` (b∖(M ∪ p)); NaN for an empty zone, and ``relative`` is NaN where
        doing nothing is without error.
    """
    truth, edit, prior = to_array(truth, "the truth"), to_array(edit, "the edit"), to_array(prior, "the prior scan")
    same_shape(edit, truth, "the edit")
    same_shape(prior, truth, "the prior scan")
    names = {"pathology": pathology, "region": region, "brain": brain}
    lesion, reach, inside = (to_mask(mask, truth, f"the {name} mask") for name, mask in names.items())
    zones = {"lesion": lesion & inside, "zone": reach & ~lesion & inside, "outside": inside & ~reach & ~lesion}
    result = {}
    for name, zone in zones.items():
        error, idle = mean_over(np.abs(edit - truth), zone), mean_over(np.abs(prior - truth), zone)
        result[name] = ZoneError(error, idle, ratio(error, idle))
    return result


def slope(predicted: np.ndarray, true: np.ndarray) -> float:
    """Least-squares slope of predicted on true, cov / var(true); NaN if the true values are all the same."""
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    centred = true - true.mean()
    return ratio(float((centred * (predicted - predicted.mean())).sum()), float((centred**2).sum()))


def sign_right(predicted: float, true: float, bound: float) -> float:
    """1 if a change has the true one's sign, 0 if not or if it is 0; NaN where the true one is within ``bound``."""
    if not abs(true) > bound:
        return float("nan")
    return float(np.sign(predicted) == np.sign(true))


def pearson(predicted: np.ndarray, true: np.ndarray) -> float:
    """Pearson's r; NaN for fewer than two cases or where either does not vary (an edit without effect)."""
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return float("nan")
    return float(np.corrcoef(predicted, true)[0, 1])


def partial_correlation(predicted: np.ndarray, true: np.ndarray, given: np.ndarray) -> float:
    """
    Pearson's r of the residuals of linear regressions of both on ``given`` (with intercept).

    Equals (r_xy - r_xz r_yz) / √((1 - r_xz²)(1 - r_yz²)) (Fisher 1924). Asks whether an edit knows more about the
    effect than that a large lesion has a large one.

    Args:
        predicted, true, given: N numbers; ``given`` is usually the lesion's area.

    Returns:
        -1 … 1; NaN for fewer than three cases, or where nothing is left of either after the regression.
    """
    columns = [np.asarray(c, dtype=np.float64) for c in (predicted, true, given)]
    if len(columns[0]) < 3:
        return float("nan")
    area = columns[2]
    slopes = [slope(c, area) if np.ptp(area) else 0.0 for c in columns[:2]]
    residuals = [c - k * area for c, k in zip(columns, slopes)]  # their mean does not matter to r
    if any(r.std() <= 1e-9 * max(c.std(), 1e-300) for r, c in zip(residuals, columns)):
        return float("nan")  # rounding noise, not a signal
    return pearson(*residuals)


def area_prediction(area: np.ndarray, true: np.ndarray, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """
    The trivial predictor: change = a + b · area, fitted without the case (without its anatomy) that it predicts.

    Args:
        area, true: N numbers; groups: anatomy of each case, None for leave-one-out.

    Returns:
        N predictions. Their r against the truth is negative, not 0, if the area says nothing: leaving a large value out
        lowers the fitted mean.

    Raises:
        ValueError: fewer than three cases or two groups.
    """
    names = list(range(len(area))) if groups is None else list(groups)
    if len(area) < 3 or len(set(names)) < 2:
        raise ValueError(
            f"got {len(area)} cases of {len(set(names))} groups; wanted at least 3 of 2 for leave-one-out."
        )
    codes = [list(dict.fromkeys(names)).index(name) for name in names]
    columns = np.asarray(area, dtype=np.float64)[:, None], np.asarray(true, dtype=np.float64)
    return cross_val_predict(LinearRegression(), *columns, groups=codes, cv=LeaveOneGroupOut())


@dataclass(frozen=True)
class Agreement:
    """
    Predicted against true change, each with its interval: r, slope (of the prediction on the truth: 0 no effect; below
    1 even for the best mean where the truth scatters about it), calibration (slope of the truth on the prediction: 1
    for a right mean), error (mean absolute, in the change's units), idle_error (predicting no change), partial_r (given
    the area) and, of the trivial predictor by area, area_r and area_error. NaN where a figure cannot be computed;
    n_cases counts complete cases.
    """

    r: Estimate
    slope: Estimate
    calibration: Estimate
    error: Estimate
    idle_error: Estimate
    partial_r: Estimate
    area_r: Estimate
    area_error: Estimate
    n_groups: int
    n_cases: int


def change_agreement(
    predicted: np.ndarray,
    true: np.ndarray,
    area: np.ndarray,
    groups: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """
    How well the edits' indirect effect (ventricle change, midline shift, …) follows the true one.

    Args:
        predicted, true: change of every case, in the same units; area: of the lesion.
        groups: anatomy of every case, None: each its own. Cases with NaN in any of the three are left out.
        draws, seed: of the two-level bootstrap.

    Raises:
        ValueError: lengths that differ, or fewer than three complete cases.
    """
    columns = [np.asarray(c, dtype=np.float64) for c in (predicted, true, area)]
    if len({c.shape for c in columns}) > 1 or columns[0].ndim != 1:
        raise ValueError(f"got {[len(c) for c in columns]} predicted, true and area values; wanted one each a case.")
    rows = np.stack(columns, axis=1)
    names = list(range(len(rows))) if groups is None else list(groups)
    if len(names) != len(rows):
        raise ValueError(f"got {len(rows)} cases and {len(names)} groups; wanted the group of every case.")
    whole = ~np.isnan(rows).any(axis=1)
    if whole.sum() < 3:
        raise ValueError(f"{int(whole.sum())} of {len(rows)} cases are complete; wanted at least 3.")
    rows, names = rows[whole], [n for n, kept in zip(names, whole) if kept]
    trivial = area_prediction(rows[:, 2], rows[:, 1], names) if len(set(names)) > 1 else np.full(len(rows), np.nan)
    table = np.column_stack([rows, np.nan_to_num(trivial)])
    known = not np.isnan(trivial).any()
    nothing = float("nan")
    statistics = {
        "r": lambda t: pearson(t[:, 0], t[:, 1]),
        "slope": lambda t: slope(t[:, 0], t[:, 1]),
        "calibration": lambda t: slope(t[:, 1], t[:, 0]),
        "error": lambda t: np.abs(t[:, 0] - t[:, 1]).mean(),
        "idle_error": lambda t: np.abs(t[:, 1]).mean(),
        "partial_r": lambda t: partial_correlation(t[:, 0], t[:, 1], t[:, 2]),
        "area_r": lambda t: pearson(t[:, 3], t[:, 1]) if known else nothing,
        "area_error": lambda t: np.abs(t[:, 3] - t[:, 1]).mean() if known else nothing,
    }
    found = {name: bootstrap(table, names, statistic, draws, seed=seed) for name, statistic in statistics.items()}
    return Agreement(**found, n_groups=len(set(names)), n_cases=len(rows))

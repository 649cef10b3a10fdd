# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a row is better by than real cases alone, and whether that may be called a gain."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from mededit_monai.metrics.statistics import bootstrap, compare_paired

GAIN, LOSS, NONE = "gain", "loss", "none"

#: For people.
RULE = (
    "gain: the 95 % interval of the difference to real lies above 0, and the difference is larger than its standard "
    "deviation over the seeds; loss: the same below 0; none: anything else."
)


def verdict(difference: float, low: float, high: float, spread: float) -> str:
    """
    ``gain``, ``loss`` or ``none``, by :data:`RULE`.

    Args:
        difference: of the means, row minus real; low, high: its interval over the cases.
        spread: standard deviation over seeds of the difference.
    """
    if low > 0 and difference > spread:
        return GAIN
    if high < 0 and difference < -spread:
        return LOSS
    return NONE


def row_figure(
    values: np.ndarray, groups: Sequence[Hashable], reference: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """
    A figure of a row, and how it differs from the reference's.

    Args:
        values: SxN, of every seed on every case, each measured by the training that had not seen its patient; NaN for
            a case that cannot be measured.
        groups: the patient of every case.
        reference: the same of the reference; None: there is none, or this is it.
        seed: of the bootstrap (patients first, then cases of each), which works on the means over the seeds.

    Returns:
        ``value``, ``low``, ``high``, ``sd_seeds`` (of the mean over the cases), ``by_seed``, ``n_cases``, ``n_groups``,
        and ``against_real``: None, or ``difference``, ``low``, ``high``, ``sd_seeds`` (of the difference) and
        ``verdict``.
    """
    mean = bootstrap(values.mean(axis=0), groups, seed=seed)
    by_seed = np.nanmean(values, axis=1)
    found = {
        "value": mean.value,
        "low": mean.low,
        "high": mean.high,
        "sd_seeds": float(by_seed.std(ddof=1)),
        "by_seed": by_seed.tolist(),
        "n_cases": mean.n_cases,
        "n_groups": mean.n_groups,
        "against_real": None,
    }
    if reference is not None:
        pair = compare_paired(values.mean(axis=0), reference.mean(axis=0), groups, seed=seed)
        spread = float(np.nanmean(values - reference, axis=1).std(ddof=1))
        found["against_real"] = {
            "difference": pair.difference,
            "low": pair.low,
            "high": pair.high,
            "sd_seeds": spread,
            "verdict": verdict(pair.difference, pair.low, pair.high, spread),
        }
    return found

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Do samples spread as the truth does? Proper scores of an ensemble, and its spread over the error of its mean.

The hidden part of a case makes its truth a draw. Samples are calibrated if the truth could be one of them.
"""

from __future__ import annotations

import numpy as np


def energy_score(samples: np.ndarray, truth: np.ndarray) -> float:
    """
    Energy score (Gneiting & Raftery 2007, eq. 21) without the bias of small ensembles (Ferro 2014): mean distance to
    the truth minus half the mean distance of two samples. Less is better, and least for samples of the truth's own
    distribution; of numbers it is the CRPS. A single sample scores its distance.

    Args:
        samples: KxD, or K numbers; truth: D, or a number. Distances are root mean squares over D, so that a score has
            the unit of the values.

    Raises:
        ValueError: no sample, or another D.
    """
    drawn, wanted = np.asarray(samples, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if not len(drawn) or drawn.shape[1:] != wanted.shape:
        raise ValueError(f"got samples {drawn.shape} of a truth {wanted.shape}; wanted a row a sample.")
    drawn, wanted = drawn.reshape(len(drawn), -1), wanted.reshape(-1)
    away = _distance(drawn - wanted).mean()
    if len(drawn) == 1:
        return float(away)
    between = sum(_distance(drawn - one).sum() for one in drawn) / (len(drawn) * (len(drawn) - 1))
    return float(away - between / 2)


def spread_and_error(samples: np.ndarray, truths: np.ndarray) -> tuple[float, float]:
    """
    Variance of the samples and squared error of their mean, each a mean over D, of one case.

    The variance is that of a truth drawn as they were around a mean of K of them, (K + 1) / K times their own, so that
    the two agree on average for calibrated samples (Fortin et al. 2014, J. Hydrometeorology 15).

    Args:
        samples: KxD, K ≥ 2; truths: TxD, draws of the truth; the error is a mean over them.

    Raises:
        ValueError: fewer samples or truths, or another D.
    """
    drawn, wanted = np.asarray(samples, dtype=np.float64), np.asarray(truths, dtype=np.float64)
    if len(drawn) < 2 or not len(wanted) or drawn.shape[1:] != wanted.shape[1:]:
        raise ValueError(f"got samples {drawn.shape}, truths {wanted.shape}; wanted a row each, at least two samples.")
    variance = drawn.var(axis=0, ddof=1).mean() * (len(drawn) + 1) / len(drawn)
    return float(variance), float(((wanted - drawn.mean(axis=0)) ** 2).mean())


def spread_over_skill(parts: np.ndarray) -> float:
    """
    √(mean variance / mean squared error) over cases: 1 for calibrated samples, less for too narrow ones.

    Args:
        parts: Nx2, :func:`spread_and_error` of every case.
    """
    variance, error = np.asarray(parts, dtype=np.float64).mean(axis=0)
    return float(np.sqrt(variance / error)) if error > 0 else float("nan")


def _distance(rows: np.ndarray) -> np.ndarray:
    return np.sqrt((rows**2).mean(axis=1))

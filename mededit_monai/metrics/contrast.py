# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an edit shows the lesion as strongly as the truth does."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

#: A necrotic core of fewer pixels is partial volume of its rim.
SMALLEST_CORE = 6

#: Steps of the grid from a lesion that count as where it lies.
AROUND = 6


def lesion_contrast(prior: np.ndarray, edit: np.ndarray, truth: np.ndarray, pathology: np.ndarray) -> float:
    """
    How much of the true change an edit shows inside p: ⟨prior − edit, prior − truth⟩ / ‖prior − truth‖² over p.

    1 is the truth, 0 no edit, negative the opposite change; brighter and darker parts of a lesion both count. Blind
    spot: a change in the right direction that is too strong scores above 1, whatever it looks like.

    Args:
        prior, edit, truth: HxW[xD] in [0, 1].
        pathology: binary, HxW[xD].

    Returns:
        the share; nan where the truth does not change.
    """
    inside = np.asarray(pathology) > 0
    wanted = (np.asarray(prior, dtype=np.float64) - truth)[inside]
    found = (np.asarray(prior, dtype=np.float64) - edit)[inside]
    size = float(wanted @ wanted)
    return float(found @ wanted) / size if size else float("nan")


def contrast_to_noise(prior: np.ndarray, edit: np.ndarray, pathology: np.ndarray, brain: np.ndarray) -> float:
    """
    How much a lesion stands out from where it lies: size of the mean over p of (edit − prior), by the
    s.d. of the prior around p.

    The s.d. is that of the brain up to ``AROUND`` steps from p: anatomy that a reader must tell the lesion from, and
    noise. No edit has 0. Rose's criterion for single spots is 3 to 5.

    Args:
        prior, edit: HxW[xD], same units; pathology, brain: binary, same shape.

    Returns:
        at least 0; nan without lesion, or where the brain around it is flat.
    """
    inside = np.asarray(pathology) > 0
    if not inside.any():
        return float("nan")
    around = (distance_transform_edt(~inside) <= AROUND) & ~inside & (np.asarray(brain) > 0)
    noise = float(np.asarray(prior, dtype=np.float64)[around].std()) if around.any() else 0.0
    change = float((np.asarray(edit, dtype=np.float64) - prior)[inside].mean())
    return abs(change) / noise if noise > 0 else float("nan")


def told_contrast(priors: np.ndarray, truths: np.ndarray, conditions: np.ndarray, pathologies: np.ndarray) -> float:
    """
    :func:`lesion_contrast` that a regression reaches which is told as much as the network: what can be asked of it.

    A condition may leave open how the lesion looks: a mask does not say where a tumour's core and rim lie, and even a
    perfect model draws them elsewhere than the truth; a box does not say where in it the lesion lies. For each case,
    least squares over the pixels inside the conditions of all *other* cases predict the change from the prior's
    intensity and the depth in the condition, separately by channel; the prediction is scored inside p.

    Args:
        priors, truths: NxHxW in [0, 1], N ≥ 2.
        conditions: what the network is told, NxKxHxW of 0 and 1.
        pathologies: masks p, NxHxW.

    Returns:
        mean over the cases. More flexible predictors may reach more; about 1 if the condition tells it all.
    """
    features, changes, lesions = [], [], []
    for prior, truth, condition, pathology in zip(priors, truths, conditions, pathologies):
        inside = condition.max(axis=0) > 0
        depth = distance_transform_edt(inside)
        relative = (depth / max(depth.max(), 1))[inside]
        told = [np.ones_like(relative), prior[inside], relative, relative**2, prior[inside] * relative]
        features.append(np.stack([column * channel[inside] for channel in condition for column in told], axis=1))
        changes.append((prior - truth)[inside].astype(np.float64))
        lesions.append((pathology > 0)[inside])
    moments = [(x.T @ x, x.T @ y) for x, y in zip(features, changes)]
    squares, products = sum(m[0] for m in moments), sum(m[1] for m in moments)
    shares = []
    for x, y, lesion, (square, product) in zip(features, changes, lesions, moments):
        weights = np.linalg.pinv(squares - square) @ (products - product)
        x, y = x[lesion], y[lesion]
        shares.append(float(x @ weights @ y) / float(y @ y) if (y != 0).any() else np.nan)
    return float(np.nanmean(shares))


def core_contrast(image: np.ndarray, regions: np.ndarray) -> float | None:
    """
    How much darker the necrotic core is than the enhancing rim: difference of their means.

    Args:
        image: HxW[xD] in [0, 1].
        regions: labels, 1 core and 3 rim.

    Returns:
        the difference; None without a rim or with a core of fewer than six pixels.
    """
    core, rim = np.asarray(regions) == 1, np.asarray(regions) == 3
    if core.sum() < SMALLEST_CORE or not rim.any():
        return None
    return float(np.mean(np.asarray(image)[rim]) - np.mean(np.asarray(image)[core]))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the lesions was found, and what else; per case, and over all cases with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import ndimage

from mededit_monai.diseases import STRATA, Disease
from mededit_monai.metrics.adherence import dice, lesion_detection
from mededit_monai.metrics.carried import carried_sizes
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.recovery.segmenters import LESION, VENTRICLES

#: Figures of a case that are averaged: name → heading, digits.
FIGURES = {
    "volume_bias_ml": ("volume bias (ml)", 2),
    "volume_bias_percent": ("volume bias (%)", 1),
    "dice": ("Dice", 3),
    "false_lesions": ("false lesions", 2),
    "ventricle_bias_ml": ("ventricle bias (ml)", 2),
}
UNEDITED = {"false_lesions": ("false lesions, unedited", 2), "false_ml": ("false ml, unedited", 2)}


def score_case(
    found: np.ndarray,
    lesion: np.ndarray,
    spacing: Sequence[float],
    disease: Disease,
    before: np.ndarray | None = None,
    displacement: np.ndarray | None = None,
) -> dict[str, Any]:
    """
    What was found in a counterfactual.

    Args:
        found: labels of a segmenter on the counterfactual, uint8 XxYxZ.
        lesion: bool, what was put in. Its connected components (diagonal neighbours connected) are lesions of their
            own; one is found where any voxel of it is.
        spacing: mm along the axes.
        disease: whose size classes are meant, by the volume of each lesion.
        before: labels found in the scan before the edit; None: the segmenter finds no ventricles, or failed on it.
        displacement: what the edit moved, in mm along the axes, 3xXxYxZ; None: nothing.

    Returns:
        ``inserted_ml``, ``found_ml``, ``volume_bias_ml`` (found minus inserted), ``volume_bias_percent`` (of what was
        inserted), ``dice``, ``false_lesions``, ``lesions`` (``ml``, ``size``, ``found`` of each), and
        ``ventricle_bias_ml``: ventricles found outside the lesion, minus those found before the edit as the edit moved
        them; None without ``before``.

    Raises:
        ValueError: shapes that differ.
    """
    voxel = float(np.prod(spacing)) / 1000
    seen = found == LESION
    parts, count = ndimage.label(lesion, structure=np.ones((3,) * lesion.ndim))
    volumes = ndimage.sum_labels(lesion, parts, range(1, count + 1)) * voxel
    met = ndimage.maximum(seen, parts, range(1, count + 1))
    inserted, seen_ml = float(lesion.sum()) * voxel, float(seen.sum()) * voxel
    result: dict[str, Any] = {
        "inserted_ml": inserted,
        "found_ml": seen_ml,
        "volume_bias_ml": seen_ml - inserted,
        "volume_bias_percent": 100 * (seen_ml - inserted) / inserted,
        "dice": dice(seen, lesion),
        "false_lesions": lesion_detection(seen, lesion).false,
        "ventricle_bias_ml": None,
        "lesions": [
            {"ml": float(ml), "size": disease.stratum_of_volume(float(ml)), "found": bool(hit)}
            for ml, hit in zip(volumes, met)
        ],
    }
    if before is not None:
        moved = np.zeros((lesion.ndim, *lesion.shape), np.float32) if displacement is None else displacement
        ((_, expected),) = carried_sizes(before == VENTRICLES, moved, lesion, spacing, wanted=(1,))
        result["ventricle_bias_ml"] = float(((found == VENTRICLES) & ~lesion).sum()) * voxel - float(expected)
    return result


def score_unedited(found: np.ndarray, spacing: Sequence[float]) -> dict[str, Any]:
    """Lesions seen in a scan that has none: how many, and ml."""
    seen = found == LESION
    _, count = ndimage.label(seen, structure=np.ones((3,) * seen.ndim))
    return {"false_lesions": int(count), "false_ml": float(seen.sum()) * float(np.prod(spacing)) / 1000}


def summary(
    cases: Sequence[Mapping[str, Any]], unedited: Sequence[Mapping[str, Any]], seed: int = 0
) -> dict[str, dict[str, dict[str, float]]]:
    """
    Recall by size class, and means, each with its 95 % interval by a bootstrap over patients, then cases.

    Args:
        cases: of :func:`score_case`, with ``patient``; unedited: of :func:`score_unedited`, likewise.

    Returns:
        ``recall`` (``all`` and every size class that occurs), ``figures`` and ``unedited``; each figure with ``value``,
        ``low``, ``high``, ``n_cases`` (of recall, lesions), ``n_groups``.
    """
    lesions = [(case["patient"], one) for case in cases for one in case["lesions"]]
    recall = {}
    for size in ("all", *STRATA):
        chosen = [(who, one["found"]) for who, one in lesions if size in ("all", one["size"])]
        if chosen:
            recall[size] = _figure([float(hit) for _, hit in chosen], [who for who, _ in chosen], seed)
    return {
        "recall": recall,
        "figures": _means(cases, FIGURES, seed),
        "unedited": _means(unedited, UNEDITED, seed),
    }


def _means(lines: Sequence[Mapping[str, Any]], names: Mapping[str, Any], seed: int) -> dict[str, dict[str, float]]:
    found = {}
    for name in names:
        chosen = [(line[name], line["patient"]) for line in lines if line[name] is not None]
        if chosen:
            found[name] = _figure([float(value) for value, _ in chosen], [who for _, who in chosen], seed)
    return found


def _figure(values: Sequence[float], patients: Sequence[str], seed: int) -> dict[str, float]:
    return asdict(bootstrap(np.array(values), patients, seed=seed))

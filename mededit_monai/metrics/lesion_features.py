# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Can painted lesions be told from true ones? Features of a lesion's inside, and a classifier two-sample test on them.

An edit with the least squared error is a mean, and no lesion looks like the mean of lesions: too smooth, too even. The
features are of what such a mean misses; intensities are relative to the scan's own fluid (0) and white matter (1).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy import ndimage

from mededit_monai.metrics.arrays import same_shape, to_array, to_labels, to_mask
from mededit_monai.metrics.indirect import tissue_means
from mededit_monai.metrics.realism import Features, RealismScore, two_sample_auc

#: Relative intensity up to which a voxel of a lesion counts as cavity, filled with fluid, and from which on as bright.
CAVITY, BRIGHT = 0.25, 1.1

#: Widths in voxels of the Gaussians whose differences are the bands of the spectrum.
BANDS = (0.6, 1.2, 2.4)

#: Names of the features of any lesion, in order, and of those by tumour region (labels 1 core, 2 edema, 3 rim).
PLAIN = (
    *("mean", "sd", "low_tenth", "high_tenth", "rim_minus_core", "edge_step", "cavity", "bright"),
    *("fine", "middle", "coarse", "spectrum_slope"),
)
OF_REGIONS = ("core_mean", "edema_mean", "rim_mean", "core_sd", "edema_sd", "rim_sd")

#: Added to powers before their logarithm: an even grey has none. The step of a scan of 8 bits, squared.
FLOOR = (1 / 256) ** 2

NOTHING = float("nan")


def relative_intensity(image: np.ndarray, prior: np.ndarray, brain: np.ndarray, pathology: np.ndarray) -> np.ndarray:
    """
    (I − fluid) / (white − fluid), the two means taken on the prior's brain outside p.

    Args:
        image, prior: HxW[xD] in one range; brain, pathology: masks. The prior's means, so that no edit can move them.

    Raises:
        ValueError: shapes that differ, or a prior without three levels.
    """
    image, prior = to_array(image, "the image"), to_array(prior, "the prior scan")
    same_shape(image, prior, "the image")
    free = to_mask(brain, prior, "the brain mask") & ~to_mask(pathology, prior, "the pathology mask")
    fluid, _, white = tissue_means(prior, free)
    return (image - fluid) / (white - fluid)


def lesion_features(
    image: np.ndarray,
    prior: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    regions: np.ndarray | None = None,
) -> np.ndarray:
    """
    Features of the inside of p, of a slice or a volume.

    mean, sd, low_tenth and high_tenth (percentiles 10 and 90) of the relative intensity; rim_minus_core: mean of the
    outer half by depth minus that of the inner half; edge_step: mean of the two voxels around p minus that of the outer
    half; cavity: share below ``CAVITY``; bright: share above ``BRIGHT``; fine, middle, coarse: log2 of the power in
    three bands, differences of Gaussians (normalised within p: Knutsson & Westin, CVPR 1993) of 0.6, 1.2 and 2.4
    voxels; spectrum_slope: their rise by band. With ``regions`` mean and s.d. of core, edema and rim, too.

    Args:
        image: the edit, or the true counterfactual; prior: the scan without lesion; both in [0, 1], HxW[xD].
        pathology, brain: masks; regions: labels of a tumour's parts.

    Returns:
        ``PLAIN`` numbers, and ``OF_REGIONS`` with regions; NaN for a region that is not there, and all NaN where p has
        fewer than three voxels in the brain.

    Raises:
        ValueError: as :func:`relative_intensity`.
    """
    count = len(PLAIN) + (0 if regions is None else len(OF_REGIONS))
    inside = (to_array(pathology, "the pathology mask") > 0) & (to_array(brain, "the brain mask") > 0)
    if inside.sum() < 3:
        return np.full(count, NOTHING)
    value = relative_intensity(image, prior, brain, pathology)
    box = tuple(slice(max(int(k.min()) - 8, 0), int(k.max()) + 9) for k in np.nonzero(inside))
    value, lesion, within = value[box], inside[box], (np.asarray(brain) > 0)[box]
    found = [*_levels(value, lesion, within), *_spectrum(value, lesion)]
    if regions is not None:
        labels = to_labels(regions, "the regions")[box]
        parts = [value[lesion & (labels == label)] for label in (1, 2, 3)]
        found += [float(part.mean()) if part.size else NOTHING for part in parts]
        found += [float(part.std()) if part.size else NOTHING for part in parts]
    return np.array(found, dtype=np.float64)


def _levels(value: np.ndarray, lesion: np.ndarray, within: np.ndarray) -> list[float]:
    own = value[lesion]
    depth = ndimage.distance_transform_edt(np.pad(lesion, 1))[(slice(1, -1),) * lesion.ndim]
    outer = lesion & (depth <= max(depth.max() / 2, 1))
    core = lesion & ~outer
    around = ndimage.binary_dilation(lesion, iterations=2) & within & ~lesion
    rim = float(value[outer].mean())
    return [
        float(own.mean()),
        float(own.std()),
        *(float(q) for q in np.quantile(own, (0.1, 0.9))),
        rim - float(value[core].mean()) if core.any() else 0.0,
        float(value[around].mean()) - rim if around.any() else 0.0,
        float((own < CAVITY).mean()),
        float((own > BRIGHT).mean()),
    ]


def _spectrum(value: np.ndarray, lesion: np.ndarray) -> list[float]:
    """log2 of the power in the three bands, and the slope of a line through them, finest band first."""
    weight = lesion.astype(np.float64)
    levels = [np.where(lesion, value, 0.0)]
    for sigma in BANDS:
        share = ndimage.gaussian_filter(weight, sigma, mode="constant")
        levels.append(ndimage.gaussian_filter(levels[0] * weight, sigma, mode="constant") / np.maximum(share, 1e-12))
    powers = [float(((a - b)[lesion] ** 2).mean()) for a, b in zip(levels, levels[1:])]
    logs = np.log2(np.array(powers) + FLOOR)
    return [*logs.tolist(), float(logs[2] - logs[0]) / 2]


def lesion_test(
    edits: np.ndarray,
    truths: np.ndarray,
    groups: Sequence[Hashable],
    classifier: str = "quadratic",
    folds: int = 5,
    draws: int = 500,
    seed: int = 0,
) -> RealismScore:
    """
    Cross-validated AUC of telling painted lesions from the true ones of the same cases.

    A case's two lesions, and all of its anatomy, are on one side of every fold, and drawn together for the interval.
    Cases of which a row holds no finite number are left out in pairs; what else is missing (a region that is not
    there) is set to the feature's mean.

    Args:
        edits, truths: NxK features of the same N cases; groups: anatomy of each.
        classifier, folds, draws, seed: of :func:`~mededit_monai.metrics.realism.two_sample_auc`; no more folds than
            there are groups.

    Returns:
        0.5: not to be told apart, 1: always.

    Raises:
        ValueError: shapes that differ, fewer than two cases or groups.
    """
    first, second = (np.array(part, dtype=np.float64) for part in (edits, truths))
    if first.shape != second.shape or first.ndim != 2 or len(first) != len(groups):
        raise ValueError(
            f"got features {first.shape}, {second.shape} and {len(groups)} groups; wanted two rows and a group a case."
        )
    both = np.isfinite(first).any(axis=1) & np.isfinite(second).any(axis=1)
    first, second, names = first[both], second[both], [f"anatomy {g}" for g, kept in zip(groups, both) if kept]
    every = np.concatenate([first, second])
    known = np.isfinite(every).any(axis=0)
    every = every[:, known]
    means = np.nanmean(every, axis=0) if len(every) else every
    every = np.where(np.isfinite(every), every, means)
    sets = [Features(part, "features of lesions", names) for part in np.split(every, 2)]
    folds = min(folds, len(set(names)))
    return two_sample_auc(*sets, folds=folds, draws=draws, seed=seed, classifier=classifier, pairs=True)

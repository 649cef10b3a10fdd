# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is the rest still the patient's own scan, without a seam and with its own texture?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import PSNRMetric
from monai.metrics.regression import compute_ssim_and_cs
from scipy import ndimage

from mededit_monai.metrics.arrays import Spacing, mean_over, ratio, same_shape, spacing_of, to_array, to_mask

#: Edges (mm) of the distance bins of :func:`change_by_distance`; the last bin is open.
DISTANCE_EDGES = (0.0, 3.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)

#: Window of the SSIM: Wang et al. 2004 have 11 pixels and a Gaussian of 1.5.
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


def edge_gradient(image: np.ndarray, region: np.ndarray, within: np.ndarray) -> float:
    """
    Mean absolute step across a region's edge: over all pairs of face neighbours of which one lies in the region and
    one does not, both inside ``within``.

    Args:
        image: HxW[xD]; region, within: binary, same shape. ``within`` (the brain) keeps the skull-stripped border out.

    Returns:
        a step in the image's units; NaN if the region has no edge inside ``within``.
    """
    image, region, within = np.asarray(image, dtype=np.float64), np.asarray(region) > 0, np.asarray(within) > 0
    steps = []
    for axis in range(image.ndim):
        low, high = [slice(None)] * image.ndim, [slice(None)] * image.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        first, second = tuple(low), tuple(high)
        across = (region[first] != region[second]) & within[first] & within[second]
        steps.append(np.abs(image[first] - image[second])[across])
    every = np.concatenate(steps)
    return float(every.mean()) if every.size else float("nan")


def change_outside(edit: np.ndarray, prior: np.ndarray, region: np.ndarray) -> tuple[float, int]:
    """
    What changed where nothing may: outside the edit region M.

    Args:
        edit, prior: HxW[xD] in [0, 1]; region: M, same shape.

    Returns:
        largest absolute change (0 for a method that keeps its promise) and the number of voxels with any change.
    """
    edit, prior = _pair(edit, prior)
    change = np.abs(edit - prior)[~to_mask(region, prior, "the edit region")]
    return float(change.max(initial=0.0)), int((change > 0).sum())


def psnr_outside(edit: np.ndarray, prior: np.ndarray, pathology: np.ndarray, brain: np.ndarray) -> float:
    """
    Peak signal-to-noise ratio over the brain outside p by MONAI: 20 log10(1) - 10 log10(mean (edit - prior)²), dB.

    Args:
        edit, prior: HxW[xD] in [0, 1]; pathology, brain: masks.

    Returns:
        dB; infinite where nothing changed, NaN where p covers the whole brain.
    """
    edit, prior = _pair(edit, prior)
    kept = to_mask(brain, prior, "the brain mask") & ~to_mask(pathology, prior, "the pathology mask")
    if not kept.any():
        return float("nan")
    return float(PSNRMetric(max_val=1.0)(torch.from_numpy(edit[kept])[None], torch.from_numpy(prior[kept])[None]))


def ssim_outside(edit: np.ndarray, prior: np.ndarray, pathology: np.ndarray, brain: np.ndarray) -> float:
    """
    Structural similarity (Wang et al., IEEE TIP 2004) by MONAI, averaged over windows centred in the brain that do not
    touch p: a window that reaches into the lesion would count the lesion as damage.

    Args:
        edit, prior: HxW[xD] in [0, 1], at least 11 voxels along each axis; pathology, brain: masks.

    Returns:
        at most 1 (nothing changed); NaN if every window touches p.

    Raises:
        ValueError: an image smaller than the window.
    """
    edit, prior = _pair(edit, prior)
    if min(prior.shape) < SSIM_WINDOW:
        raise ValueError(
            f"the images have shape {prior.shape}; SSIM wants at least {SSIM_WINDOW} voxels along each axis."
        )
    touched = ndimage.maximum_filter(to_mask(pathology, prior, "the pathology mask"), SSIM_WINDOW)
    valid = tuple(slice(SSIM_WINDOW // 2, n - SSIM_WINDOW // 2) for n in prior.shape)
    ndim = prior.ndim
    similarity, _ = compute_ssim_and_cs(
        torch.from_numpy(edit)[None, None],
        torch.from_numpy(prior)[None, None],
        ndim,
        (SSIM_WINDOW,) * ndim,
        (SSIM_SIGMA,) * ndim,
    )
    return mean_over(similarity[0, 0].numpy(), (to_mask(brain, prior, "the brain mask") & ~touched)[valid])


def change_by_distance(
    edit: np.ndarray,
    prior: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    spacing: Spacing,
    edges: Sequence[float] = DISTANCE_EDGES,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Mean absolute change in rings around p, by Euclidean distance to the nearest voxel of p.

    Ring k holds the voxels of the brain outside p whose distance d lies in (edges[k], edges[k+1]] mm; the last is open.

    Args:
        edit, prior: HxW[xD] in [0, 1]; pathology: not empty; brain: mask.
        spacing: mm.
        edges: rising, from 0 on, mm.

    Returns:
        mean |edit - prior| of each ring (NaN for an empty one), and the rings' voxel counts; len(edges) numbers each.

    Raises:
        ValueError: an empty pathology mask, edges that do not rise, or shapes that differ.
    """
    edit, prior = _pair(edit, prior)
    lesion, inside = to_mask(pathology, prior, "the pathology mask"), to_mask(brain, prior, "the brain mask")
    limits = np.asarray(edges, dtype=np.float64)
    if not lesion.any():
        raise ValueError("the pathology mask is empty; there is no distance to it.")
    if limits.ndim != 1 or not limits.size or limits[0] < 0 or (np.diff(limits) <= 0).any():
        raise ValueError(f"the distance edges are {list(edges)}; wanted rising numbers from 0 on, in mm.")
    away = ndimage.distance_transform_edt(~lesion, sampling=spacing_of(spacing, prior.ndim))
    which = np.searchsorted(limits, away, side="left") - 1  # (low, high]
    counted = inside & ~lesion & (which >= 0)
    counts = np.bincount(which[counted], minlength=len(limits))
    sums = np.bincount(which[counted], weights=np.abs(edit - prior)[counted], minlength=len(limits))
    return np.where(counts, sums / np.maximum(counts, 1), np.nan), counts


def surrounding_ring(region: np.ndarray, brain: np.ndarray, spacing: Spacing, width_mm: float = 6.0) -> np.ndarray:
    """Voxels of the brain outside a region and at most ``width_mm`` away from it; bool, all False for no region."""
    brain = to_array(brain, "the brain mask") > 0
    region = to_mask(region, brain, "the edit region")
    if width_mm <= 0:
        raise ValueError(f"the ring's width is {width_mm}; wanted a positive number of mm.")
    if not region.any():
        return np.zeros_like(brain)
    away = ndimage.distance_transform_edt(~region, sampling=spacing_of(spacing, brain.ndim))
    return brain & ~region & (away <= width_mm)


def ring_mismatch(
    image: np.ndarray,
    region: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    spacing: Spacing,
    width_mm: float = 6.0,
) -> float:
    """
    Box disharmony: mean intensity of M∖p minus that of the ring around M (thesis, Fig. 5.7, shows it for boxes).

    Anatomy alone gives a mismatch (M may hold more white matter than its ring), so compare with the prior's.

    Args:
        image: HxW[xD]; region (M), pathology, brain: masks; spacing: mm.

    Returns:
        a difference in the image's units; positive: the edited zone is brighter. NaN where M∖p or the ring is empty.
    """
    image = to_array(image, "the image")
    inside = to_mask(region, image, "the edit region") & to_mask(brain, image, "the brain mask")
    ring = surrounding_ring(region, brain, spacing, width_mm)
    return mean_over(image, inside & ~to_mask(pathology, image, "the pathology mask")) - mean_over(image, ring)


def high_frequency_power(image: np.ndarray, within: np.ndarray, spacing: Spacing, sigma_mm: float = 2.5) -> np.ndarray:
    """
    Squared residual of a Gaussian smoothing inside a mask: (I - (G * I w) / (G * w))², where w is the mask.

    The smoothing is normalised (Knutsson & Westin, CVPR 1993), so the dark outside of the mask does not leak in.

    Args:
        image: HxW[xD]; within: mask w; spacing, sigma_mm: mm. Structure finer than about 2 sigma counts as texture.

    Returns:
        same shape, units squared; 0 outside the mask.
    """
    image = to_array(image, "the image")
    weight = to_mask(within, image, "the mask").astype(np.float64)
    sigma = [sigma_mm / s for s in spacing_of(spacing, image.ndim)]
    smooth = ndimage.gaussian_filter(image * weight, sigma, mode="constant")
    share = ndimage.gaussian_filter(weight, sigma, mode="constant")
    residual = np.where(weight > 0, image - smooth / np.maximum(share, 1e-12), 0.0)
    return residual**2


def texture_ratio(
    image: np.ndarray,
    inside: np.ndarray,
    around: np.ndarray,
    within: np.ndarray,
    spacing: Spacing,
    sigma_mm: float = 2.5,
) -> float:
    """
    High-frequency power of the edited zone against its surroundings, mean over ``inside`` / mean over ``around``.

    Args:
        image: HxW[xD]; inside: M or M∖p; around: a ring around M; within: the brain; spacing: mm.

    Returns:
        1: the same texture, below 1: smoother. NaN where either is empty or the surroundings are flat. Anatomy differs
        from place to place; divide by the prior's ratio to see what the edit did.
    """
    power = high_frequency_power(image, within, spacing, sigma_mm)
    zone, ring = to_mask(inside, power, "the zone"), to_mask(around, power, "the surroundings")
    return ratio(mean_over(power, zone), mean_over(power, ring))


def _pair(edit: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edit, prior = to_array(edit, "the edit"), to_array(prior, "the prior scan")
    same_shape(edit, prior, "the edit")
    return edit, prior

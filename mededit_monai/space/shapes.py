# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes that lesions are made of: rough blobs, soft edges, distances, and the direction into a structure."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.space.fields import blur, smooth_noise


def blob(
    allowed: np.ndarray, centre: np.ndarray, radius: float, spacing: float, compact: bool, rng: np.random.Generator
) -> np.ndarray:
    """
    Level set of a stretched distance plus roughness, cut at the size of a disc (ball).

    Args:
        allowed: bool S, where it may be; holds the centre.
        centre: point of the grid it lies around, n.
        radius: of the disc (ball) in mm; spacing: mm of a grid step.
        compact: less stretched and smoother.

    Returns:
        bool S.
    """
    shape, n = allowed.shape, allowed.ndim
    grid = np.stack(np.meshgrid(*(np.arange(s, dtype=np.float32) for s in shape), indexing="ij"))
    offset = (grid - centre.reshape(n, *[1] * n)) * spacing
    axis = rng.standard_normal(n)
    axis = (axis / np.linalg.norm(axis)).astype(np.float32)
    stretch = float(rng.uniform(1.0, 1.4 if compact else 2.4))
    along = np.tensordot(axis, offset, axes=1)
    across = np.sqrt(np.maximum((offset**2).sum(axis=0) - along**2, 0))
    distance = np.hypot(along / stretch ** (1 - 1 / n), across * stretch ** (1 / n)) / radius
    rough = smooth_noise(shape, max(1.5, (0.7 if compact else 0.45) * radius) / spacing, rng)
    score = np.where(allowed, -distance + rng.uniform(0.05, 0.2 if compact else 0.45) * rough, -np.inf)
    size = np.pi * radius**2 if n == 2 else 4 / 3 * np.pi * radius**3
    count = min(max(1, int(round(size / spacing**n))), int(allowed.sum()))
    return score >= np.partition(score[allowed], -count)[-count]


def toward(soft_mask: np.ndarray, reach: float) -> np.ndarray:
    """Direction field into a structure, largest length 1, zero for an empty one; nxS."""
    slope = np.stack(np.gradient(blur(soft_mask, reach, truncate=2.5)))
    steepest = float(np.sqrt((slope**2).sum(axis=0)).max())
    return slope / steepest if steepest > 1e-6 else np.zeros_like(slope)


def tidy(mask: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """
    Cut off tails and threads thinner than three points: model pixels could not hold what was painted there.

    Args:
        mask: bool S; pieces of at most nine points stay (a model pixel is found for each) if they lie in ``inner``.
        inner: bool S, the brain without its edge, where a model pixel may not be brain any more.
    """
    if not mask.any():
        return mask
    near, kept = around(mask, 4), np.zeros_like(mask)
    opened = scipy.ndimage.binary_opening(mask[near], np.ones((3,) * mask.ndim))
    labels, _ = scipy.ndimage.label(mask[near])
    small = np.bincount(labels.ravel()) <= 9
    small[0] = False
    kept[near] = mask[near] & (scipy.ndimage.binary_dilation(opened, iterations=2) | (small[labels] & inner[near]))
    return kept


def bounding_box(mask: np.ndarray) -> np.ndarray:
    """First and last voxel of a mask along each axis, (n, 2), inclusive; the mask must not be empty."""
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append((int(inside[0]), int(inside[-1])))
    return np.array(box)


def around(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """A mask's bounding box and so many points more on each side, within the array; the mask must not be empty."""
    return tuple(slice(max(0, a - margin), b + 1 + margin) for a, b in bounding_box(mask))


def soften(mask: np.ndarray, sigma: float) -> np.ndarray:
    """A mask with soft edges, exactly 0 farther out than 2.5 sigma (at most 2.5 mm)."""
    return np.clip(blur(mask, sigma, truncate=2.5), 0, 1)


def equivalent_radius(mask: np.ndarray, spacing: float) -> float:
    """Radius in mm of the disc (ball) with a mask's area (volume)."""
    size = float(np.count_nonzero(mask)) * spacing**mask.ndim
    return (size / np.pi) ** 0.5 if mask.ndim == 2 else (3 * size / (4 * np.pi)) ** (1 / 3)


def distance_to(mask: np.ndarray, spacing: float) -> np.ndarray:
    """mm to the nearest point of a mask, 0 inside; float32."""
    return scipy.ndimage.distance_transform_edt(~mask, sampling=spacing).astype(np.float32)

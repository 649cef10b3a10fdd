# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes that lesions are made of: rough blobs, soft edges, distances, and the direction into a structure."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use

from mededit_monai.space.fields import blur, doubled, smooth_noise

#: A piece of a mask with less than this share of its largest piece's voxels is no part of what the mask shows.
STRAY_SHARE = 0.05


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
    n = allowed.ndim
    axis = rng.standard_normal(n)
    axis = (axis / np.linalg.norm(axis)).astype(np.float32)
    stretch = float(rng.uniform(1.0, 1.4 if compact else 2.4))
    reach = int((2 * stretch * radius + 10) / spacing)  # it does not come farther unless there is no room
    near = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
    room = allowed[near]
    grid = np.ix_(*(np.arange(p.start, p.start + m, dtype=np.float32) - c for p, m, c in zip(near, room.shape, centre)))
    along = sum(np.float32(a * spacing) * g for a, g in zip(axis, grid))
    across = np.sqrt(np.maximum(sum((np.float32(spacing) * g) ** 2 for g in grid) - along**2, 0))
    distance = np.hypot(along / stretch ** (1 - 1 / n), across * stretch ** (1 / n)) / radius
    rough = smooth_noise(room.shape, max(1.5, (0.7 if compact else 0.45) * radius) / spacing, rng)
    score = np.where(room, -distance + rng.uniform(0.05, 0.2 if compact else 0.45) * rough, -np.inf)
    size = np.pi * radius**2 if n == 2 else 4 / 3 * np.pi * radius**3
    count = min(max(1, int(round(size / spacing**n))), int(room.sum()))
    found = np.zeros_like(allowed)
    found[near] = score >= np.partition(score[room], -count)[-count]
    return found


def territory(
    allowed: np.ndarray, centre: np.ndarray, radius: float, spacing: float, likely: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """
    As :func:`blob` in a volume, but as ragged as what a vessel feeds: flat, rough at two scales, in pieces.

    The ranges are those by which drawn strokes are hardest to tell from masks of real ones
    (``python -m studies.lesion_shapes``).

    Args:
        likely: where it rather is, S in [0, 1]: the gray matter.

    Returns:
        bool XxYxZ, without holes but for what is not allowed.
    """
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    lengths = np.array([rng.uniform(1.2, 3.0), 1.0, rng.uniform(0.25, 0.8)])
    lengths /= lengths.prod() ** (1 / 3)
    reach = int((2.2 * lengths.max() * radius + 12) / spacing)
    near = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
    room = allowed[near]
    grid = np.ix_(*(np.arange(p.start, p.start + m, dtype=np.float32) - c for p, m, c in zip(near, room.shape, centre)))
    along = (sum(np.float32(a * spacing / m) * g for a, g in zip(axis, grid)) for axis, m in zip(axes, lengths))
    score = -np.sqrt(sum(one**2 for one in along)) / radius
    for low, high, length in ((0.25, 0.8, max(3.0, 0.6 * radius)), (0.1, 0.5, np.clip(0.25 * radius, 2.5, 8.0))):
        score = score + np.float32(rng.uniform(low, high)) * smooth_noise(room.shape, length / spacing, rng)
    score = np.where(room, score + np.float32(rng.uniform(0, 0.8)) * (likely[near] - 0.5), -np.inf)
    count = min(max(1, int(round(4 / 3 * np.pi * radius**3 / spacing**3))), int(room.sum()))
    found = np.zeros_like(allowed)
    cut = score >= np.partition(score[room], -count)[-count]
    found[near] = scipy.ndimage.binary_fill_holes(cut) & room
    return found


def toward(soft_mask: np.ndarray, reach: float) -> np.ndarray:
    """Direction field into a structure, largest length 1, zero for an empty one; nxS."""
    direction = np.zeros((soft_mask.ndim, *soft_mask.shape), np.float32)
    present = soft_mask > 0
    if not present.any():
        return direction
    near = around(present, int(2.5 * reach + 0.5) + 2)  # beyond, the blurred mask is 0
    slope = np.stack(np.gradient(blur(soft_mask[near], reach, truncate=2.5)))
    steepest = float(np.sqrt((slope**2).sum(axis=0).max()))
    if steepest > 1e-6:
        direction[(slice(None), *near)] = slope / np.float32(steepest)
    return direction


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


def main_box(mask: np.ndarray) -> np.ndarray:
    """
    The bounding box of a mask without its strays, (n, 2), inclusive: a voxel that a network or a slip of the pen left
    far from the brain must not say where the brain is.

    Args:
        mask: bool, not empty. What hangs together, corners included, is a piece; a piece of less than a twentieth of
            the largest is a stray. Hemispheres in a slab, or temporal poles, are more than that.
    """
    whole = bounding_box(mask)
    labels, count = scipy.ndimage.label(mask[around(mask, 0)], np.ones((3,) * mask.ndim))
    if count == 1:
        return whole
    sizes = np.bincount(labels.ravel())
    main = sizes >= STRAY_SHARE * sizes[1:].max()
    main[0] = False
    return bounding_box(main[labels]) + whole[:, :1]


def around(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """A mask's bounding box and so many points more on each side, within the array; the mask must not be empty."""
    return tuple(slice(max(0, a - margin), b + 1 + margin) for a, b in bounding_box(mask))


def box_affine(affine: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """Voxel → world of what a box cuts out of a grid, 4x4, from the grid's own."""
    corner = np.eye(4)
    corner[:3, 3] = [side.start for side in box]
    found: np.ndarray = affine @ corner
    return found


def soften(mask: np.ndarray, sigma: float) -> np.ndarray:
    """A mask with soft edges, exactly 0 farther out than 2.5 sigma."""
    return np.clip(blur(mask, sigma, truncate=2.5), 0, 1)


def equivalent_radius(mask: np.ndarray, spacing: float) -> float:
    """Radius in mm of the disc (ball) with a mask's area (volume)."""
    size = float(np.count_nonzero(mask)) * spacing**mask.ndim
    return (size / np.pi) ** 0.5 if mask.ndim == 2 else (3 * size / (4 * np.pi)) ** (1 / 3)


def distance_to(mask: np.ndarray, spacing: float) -> np.ndarray:
    """
    mm to the nearest point of a mask, 0 inside; float32.

    Of a volume it is exact to 10 mm from the mask's box; farther away it is that to the nearest block of 2x2x2 points,
    less than two points off, for a quarter of the time.
    """
    if mask.ndim == 2 or not mask.any():
        return scipy.ndimage.distance_transform_edt(~mask, sampling=spacing).astype(np.float32)
    near = around(mask, int(10 / spacing) + 1)
    even = np.pad(mask, [(0, n % 2) for n in mask.shape])
    blocks = even.reshape([m for n in even.shape for m in (n // 2, 2)]).any(axis=(1, 3, 5))
    coarse = scipy.ndimage.distance_transform_edt(~blocks, sampling=2 * spacing)
    away = np.ascontiguousarray(doubled(coarse)[tuple(slice(0, n) for n in mask.shape)])
    away[near] = scipy.ndimage.distance_transform_edt(~mask[near], sampling=spacing)
    return away


def depth_in(mask: np.ndarray, spacing: float | tuple[float, ...]) -> np.ndarray:
    """mm from the points of a mask to the nearest point outside it, 0 outside; float32. Spacing: of all, or each."""
    depth = np.zeros(mask.shape, np.float32)
    if mask.any():
        near = around(mask, 1)
        depth[near] = scipy.ndimage.distance_transform_edt(mask[near], sampling=spacing)
    return depth

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Masks and shapes on a scan's grid: a voxel is set where at least half of it is covered, and no piece is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from mededit_monai.space.model_space import with_every_component
from mededit_monai.space.shapes import around, bounding_box

#: Samples along each axis of a voxel of the scan, at most; for shapes always so many.
MOST_SAMPLES, OF_SHAPES = 5, 3


def carried(mask: np.ndarray, to_mask: np.ndarray, shape: tuple[int, ...], pieces: bool = True) -> np.ndarray:
    """
    A mask on another grid.

    Args:
        mask: bool, XxYxZ, not empty.
        to_mask: voxel of the other grid → voxel of the mask, 4x4.
        shape: of the other grid.
        pieces: whether a piece of the mask too small for half a voxel keeps the voxel nearest to its centre.

    Returns:
        bool, ``shape``; a mask on the same grid is that mask.
    """
    near = around(mask, 1)
    small = np.pad(mask[near].astype(np.float32), 1)
    start = np.array([part.start for part in near]) - 1

    def value(points: np.ndarray) -> np.ndarray:
        found: np.ndarray = ndimage.map_coordinates(small, points - start[:, None], np.float32, 1, "grid-constant")
        return found

    found = _covered(value, to_mask, bounding_box(mask), shape, _samples(to_mask)) >= 0.5 - 1e-4
    if pieces:
        back = np.linalg.inv(to_mask)

        def nearest(voxels: np.ndarray) -> tuple[np.ndarray, ...]:
            places = np.rint(voxels @ back[:3, :3].T + back[:3, 3]).astype(int)
            return tuple(np.clip(places, 0, np.array(shape) - 1).T)

        reached = _within(mask, back, shape)
        if reached.any():
            found = with_every_component(found, reached, nearest)
    return found


def carried_labels(labels: np.ndarray, to_mask: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """
    Which label a lesion has in each voxel of another grid: the one that most of the voxel has.

    Args:
        labels: uint8, XxYxZ, 0 outside the lesion, not empty.
        to_mask: voxel of the other grid → voxel of the labels, 4x4.
        inside: bool, on the other grid: where the lesion is, of :func:`carried`.

    Returns:
        uint8, the shape of ``inside``, none of it 0 there; labels on the same grid are those labels.
    """
    near = around(labels > 0, 1)
    small = np.pad(labels[near], 1)
    start = np.array([part.start for part in near])[:, None] - 1
    kinds = np.unique(labels[labels > 0])
    shares = []
    for kind in kinds:
        of_kind = (small == kind).astype(np.float32)

        def value(points: np.ndarray, of_kind: np.ndarray = of_kind) -> np.ndarray:
            found: np.ndarray = ndimage.map_coordinates(of_kind, points - start, np.float32, 1, "grid-constant")
            return found

        shares.append(_covered(value, to_mask, bounding_box(labels > 0), inside.shape, _samples(to_mask)))
    found = np.where(inside, kinds[np.argmax(shares, axis=0)], 0).astype(np.uint8)
    missed = np.argwhere(inside & (np.max(shares, axis=0) == 0))  # a piece between the samples
    if len(missed):
        known = np.argwhere(labels > 0)
        _, nearest = cKDTree(known).query(missed @ to_mask[:3, :3].T + to_mask[:3, 3])
        found[tuple(missed.T)] = labels[tuple(known[nearest].T)]
    return found


def shaped(
    kind: str, centre: np.ndarray, radii: np.ndarray, to_space: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """
    An ellipsoid or box, its axes along those of its space.

    Args:
        kind: ``sphere``, ``ellipsoid`` or ``box``.
        centre, radii: mm of the space, 3 each; of a box half its sides.
        to_space: voxel of the grid → mm of the space, 4x4.

    Returns:
        bool, ``shape``: where at least half of a voxel is inside; if that is nowhere, the voxel of which most is.
    """

    def value(points: np.ndarray) -> np.ndarray:
        scaled = (points - centre[:, None]) / radii[:, None]
        inside = np.abs(scaled).max(axis=0) <= 1 if kind == "box" else (scaled**2).sum(axis=0) <= 1
        return inside.astype(np.float32)

    ends = np.stack([centre - radii, centre + radii], axis=1)
    shares = _covered(value, to_space, ends, shape, np.full(3, OF_SHAPES))
    found: np.ndarray = shares >= 0.5
    if not found.any():
        voxel = np.rint(np.linalg.solve(to_space, [*centre, 1.0])[:3]).astype(int)
        if shares.any():
            found[np.unravel_index(shares.argmax(), shape)] = True
        elif ((voxel >= 0) & (voxel < shape)).all():  # smaller than the distance of the samples
            found[tuple(voxel)] = True
    return found


def _samples(to_mask: np.ndarray) -> np.ndarray:
    """Along each axis of a voxel as many as the mask has voxels across it."""
    sides: np.ndarray = np.linalg.norm(to_mask[:3, :3], axis=0)
    return np.clip(np.ceil(sides - 0.1), 1, MOST_SAMPLES).astype(int)


def _covered(
    value: Callable[[np.ndarray], np.ndarray],
    to_source: np.ndarray,
    ends: np.ndarray,
    shape: tuple[int, ...],
    count: np.ndarray,
) -> np.ndarray:
    """
    Mean of a function over every voxel of a grid.

    Args:
        value: places of the source, 3xN → N.
        to_source: voxel of the grid → place of the source.
        ends: first and last place where the function is not 0, (3, 2).
        count: samples along each axis of a voxel.

    Returns:
        float32, ``shape``.
    """
    back = np.linalg.inv(to_source)
    corners = np.array(list(product(*ends))) @ back[:3, :3].T + back[:3, 3]
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, shape).astype(int)
    found = np.zeros(shape, np.float32)
    if (low >= high).any():
        return found
    box = tuple(slice(a, b) for a, b in zip(low, high))
    voxels = np.indices(high - low).reshape(3, -1) + low[:, None]
    places = to_source[:3, :3] @ voxels + to_source[:3, 3:]
    total = np.zeros(places.shape[1], np.float32)
    for offset in product(*((np.arange(n) + 0.5) / n - 0.5 for n in count)):
        total += value(places + (to_source[:3, :3] @ np.array(offset))[:, None])
    found[box] = (total / count.prod()).reshape([b - a for a, b in zip(low, high)])
    return found


def _within(mask: np.ndarray, to_grid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The part of a mask that lies within another grid."""
    found = np.zeros_like(mask)
    voxels = np.argwhere(mask)
    places = voxels @ to_grid[:3, :3].T + to_grid[:3, 3]
    inside = ((places > -0.5) & (places < np.array(shape) - 0.5)).all(axis=1)
    found[tuple(voxels[inside].T)] = True
    return found

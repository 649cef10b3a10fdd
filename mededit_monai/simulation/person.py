# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A person: one brain seen through a random pose and shape, on the grid a case is drawn on."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases.canvas import CORTEX, FLUID, LEFT, RIGHT, TISSUES, Canvas
from mededit_monai.simulation.prepared import FAR_MM, PreparedAnatomy, depth_mm, sample
from mededit_monai.simulation.ventricle_size import ASYMMETRY, GRID_MM, VOLUMES, VentricleSizes
from mededit_monai.space.fields import enlarged, smooth_noise, vector_noise
from mededit_monai.space.shapes import around

#: A person's size along each axis, about the anatomy's, and shear (both are shares).
ZOOM, SHEAR = (0.9, 1.1), 0.05

#: Elastic deformation: length over which it varies, and the range of its largest component; mm.
ELASTIC = ((40.0, (1.0, 9.0)), (25.0, (1.0, 6.0)), (11.0, (0.3, 2.0)))

#: Points kept around the brain.
MARGIN = 2


def draw_person(
    anatomy: PreparedAnatomy,
    height: float | None,
    spacing: float,
    limit: int,
    rng: np.random.Generator,
    wide: bool = True,
) -> Canvas:
    """
    A random person with this anatomy: its ventricles made larger or smaller, then deformed, sheared and scaled.

    Args:
        height: MNI z (mm) of the slice; None for a volume.
        spacing: mm of a grid step.
        limit: largest grid side in points; in 3-D the third side may have 7/8 of it.
        wide: tilt the head as people lie in scanners; False keeps near the template's axes (registered data).
    """
    points, near, parameters = _points(anatomy, height, spacing, limit, rng, wide)
    found, depth = _values(anatomy, points, near, rng)
    rough = float(rng.uniform(0.0, 0.6))
    edge = float(rng.uniform(0.0, 3.6))
    brain = depth > rough * smooth_noise(depth.shape, 14.0 / spacing, rng) - edge
    # Nothing is needed beyond the brain's box.
    box = around(brain, MARGIN) if brain.any() else tuple(slice(0, n) for n in brain.shape)
    within, fractions = np.zeros_like(near), np.zeros((len(TISSUES), *brain[box].shape), np.float32)
    within[box] = near[box]
    kept = within[near]
    for channel, values in zip(fractions, found):
        channel[near[box]] = values[kept]
    points, depth, brain = points[(slice(None), *box)], depth[box].copy(), brain[box].copy()
    if parameters["flip"]:
        fractions[[LEFT, RIGHT]] = fractions[[RIGHT, LEFT]]
    if anatomy.kind == "labels":  # label maps of old brains have wide, blurred sulci: narrow them in some persons
        open_sulci = fractions[FLUID] ** float(rng.uniform(1.0, 5.0))
        fractions[CORTEX] += fractions[FLUID] - open_sulci
        fractions[FLUID] = open_sulci
    scale, offset = (np.float32(a).reshape(3, *[1] * brain.ndim) for a in (anatomy.mni_scale, anatomy.mni_offset))
    mni = scale * points + offset
    if parameters["flip"]:
        mni[0] *= -1
    own = None if anatomy.intensity is None else sample(anatomy.intensity[..., None], points)[0]
    parameters |= {"height_mni_mm": None if height is None else float(height), "brain_edge_mm": edge}
    return Canvas(fractions, depth, brain, mni, spacing, own, parameters)


def _points(
    anatomy: PreparedAnatomy, height: float | None, spacing: float, limit: int, rng: np.random.Generator, wide: bool
) -> tuple[np.ndarray, np.ndarray, dict]:
    """
    Voxel of the anatomy that is seen at each point of a grid around the person's brain (3xS float32), where the brain
    may be (bool S), and what was drawn.
    """
    dims = 3 if height is None else 2
    # From this head's own size to the template's (registered scans have it), and a little of everyone's own.
    zoom = anatomy.mni_scale ** rng.uniform(0, 1) * rng.uniform(*ZOOM, 3)
    extent, most = anatomy.box[:, 1] - anatomy.box[:, 0] + 1, np.array([limit, limit, limit * 7 // 8])
    zoom = np.minimum(zoom, (most * spacing - 4) / extent)  # the window holds the whole brain
    tilt = np.deg2rad(rng.uniform(-1, 1, 3) * ((9, 4, 6) if wide else (3, 1.5, 2)))  # about x, y, z
    shear = np.eye(3) + np.triu(rng.uniform(-SHEAR, SHEAR, (3, 3)), 1)
    flip = bool(rng.random() < 0.5)
    volume, skew = np.exp(rng.uniform(*np.log(VOLUMES))), float(rng.uniform(-ASYMMETRY, ASYMMETRY))
    sides = np.minimum(np.ceil((extent * zoom + 16) / spacing).astype(int), most)[:dims]
    linear = (_rotation(tilt) @ shear @ np.diag([-1.0 if flip else 1.0, 1, 1]) / zoom).astype(np.float32)
    base = anatomy.box.mean(axis=1)
    if height is not None:
        base[2] = anatomy.voxel_of(2, height)
    peaks = [float(rng.uniform(*bounds)) for _, bounds in ELASTIC]
    # All of it is smooth: worked out at every second point, and linear between them.
    coarse = tuple(int(n) // 2 + 1 for n in sides)
    points = sum(
        vector_noise(3, coarse, length / (2 * spacing), peak, rng) for (length, _), peak in zip(ELASTIC, peaks)
    )
    axes = [(2 * np.arange(m, dtype=np.float32) - (n - 1) / 2) * np.float32(spacing) for m, n in zip(coarse, sides)]
    for k, along in enumerate(np.ix_(*axes)):
        points += linear[:, k].reshape(3, *[1] * dims) * along
    points += np.float32(base).reshape(3, *[1] * dims)
    sizes, size = anatomy.ventricle_sizes, 0.0
    if sizes.any:
        size = sizes.size_for(volume)
        _resize_ventricles(points, sizes, size, skew)
    inside = tuple(slice(0, int(n)) for n in sides)
    near = _near(anatomy, points)[inside]
    points = enlarged(points, 2)[(slice(None), *inside)]
    return (
        points,
        near,
        {
            "anatomy": anatomy.name,
            "kind": anatomy.kind,
            "flip": flip,
            "zoom": zoom.round(4).tolist(),
            "tilt": tilt.round(4).tolist(),
            "shear": shear[np.triu_indices(3, 1)].round(4).tolist(),
            "elastic_mm": peaks,
            "ventricle_size_mm": size if anatomy.ventricle_sizes.any else 0.0,
            "ventricle_asymmetry_mm": skew if anatomy.ventricle_sizes.any else 0.0,
        },
    )


def _near(anatomy: PreparedAnatomy, coarse: np.ndarray) -> np.ndarray:
    """Points in the brain or around it, by every second one of them, 3xS; bool on all points."""
    near = anatomy.near[tuple(np.clip(np.rint(p), 0, n - 1).astype(int) for p, n in zip(coarse, anatomy.near.shape))]
    for axis in range(near.ndim):
        near = np.repeat(near, 2, axis)
    return near


def _resize_ventricles(points: np.ndarray, sizes: VentricleSizes, size: float, skew: float) -> None:
    """Move points, in place, as the map that makes an anatomy's ventricles larger (smaller) says; before all else."""
    field = sizes.field(size, skew)
    at = [(p - np.float32(first)) / np.float32(GRID_MM) for p, first in zip(points, sizes.start)]
    near = np.logical_and.reduce([(p > 0) & (p < n - 1) for p, n in zip(at, field.shape)])
    points[:, near] += sample(field, np.stack([p[near] for p in at]))


def _values(
    anatomy: PreparedAnatomy, points: np.ndarray, near: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of tissue (CxM, where ``near`` is) and depth (mm, S); in some slices averaged over 2 to 3 mm."""
    thick = 0.0 if near.ndim == 3 or rng.random() > 0.2 else float(rng.uniform(0.8, 1.6))
    where = points[:, near]  # the rest, more than half of a volume, is background
    shift = np.array([[0], [0], [thick]], np.float32)
    parts = [sample(anatomy.channels, where + side * shift, anatomy.table) for side in ((-1, 1) if thick else (0,))]
    found = parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2
    depth = np.full(near.shape, -FAR_MM, np.float32)
    depth[near] = depth_mm(found[-1])
    return found[:-1] / np.float32(255), depth


def _rotation(angles: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        one = np.eye(3)
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ one
    return matrix

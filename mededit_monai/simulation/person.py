# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A person: one brain seen through a random pose and shape, on the grid a case is drawn on."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases.canvas import CORTEX, FLUID, LEFT, RIGHT, Canvas
from mededit_monai.simulation.prepared import DEPTH_SCALE, PreparedAnatomy, sample
from mededit_monai.space.fields import smooth_noise, vector_noise


def draw_person(
    anatomy: PreparedAnatomy,
    height: float | None,
    spacing: float,
    limit: int,
    rng: np.random.Generator,
    wide: bool = True,
) -> Canvas:
    """
    A random person with this anatomy.

    Args:
        height: MNI z (mm) of the slice; None for a volume.
        spacing: mm of a grid step.
        limit: largest grid side in points; in 3-D the third side may have 7/8 of it.
        wide: tilt the head as people lie in scanners; False keeps near the template's axes (registered data).
    """
    volume = height is None
    dims = 3 if volume else 2
    # From this head's own size to the template's (registered scans have it), and a little of everyone's own.
    zoom = anatomy.mni_scale ** rng.uniform(0, 1) * rng.uniform(0.94, 1.06, 3)
    tilt = np.deg2rad(rng.uniform(-1, 1, 3) * ((9, 4, 6) if wide else (3, 1.5, 2)))  # about x, y, z
    flip = bool(rng.random() < 0.5)
    extent = (anatomy.box[:, 1] - anatomy.box[:, 0] + 1)[:dims] * zoom[:dims]
    sides = np.minimum(np.ceil((extent + 16) / spacing).astype(int), [limit, limit, limit * 7 // 8][:dims])
    shape = tuple(int(n) for n in sides)
    grid = np.stack(
        np.meshgrid(*((np.arange(n, dtype=np.float32) - (n - 1) / 2) * spacing for n in shape), indexing="ij")
    )
    if not volume:
        grid = np.concatenate([grid, np.zeros((1, *shape), np.float32)])
    linear = (_rotation(tilt) @ np.diag([-1.0 if flip else 1.0, 1, 1]) / zoom).astype(np.float32)
    points = np.tensordot(linear, grid, axes=1)
    shape_mm = float(rng.uniform(1, 6)), float(rng.uniform(0.3, 1.8))
    for length, peak in zip((28.0, 11.0), shape_mm):
        points += vector_noise(3, shape, length / spacing, peak, rng)
    base = anatomy.box.mean(axis=1)
    if not volume:
        base[2] = anatomy.voxel_of(2, height)
    points += base.astype(np.float32).reshape(3, *[1] * dims)

    values = _values(anatomy, points, volume, rng) / 255
    fractions = values[:-1]
    if flip:
        fractions[[LEFT, RIGHT]] = fractions[[RIGHT, LEFT]]
    if anatomy.kind == "labels":  # label maps of old brains have wide, blurred sulci: narrow them in some persons
        open_sulci = fractions[FLUID] ** float(rng.uniform(1.0, 5.0))
        fractions[CORTEX] += fractions[FLUID] - open_sulci
        fractions[FLUID] = open_sulci
    depth = (values[-1] * 255 - 128) / DEPTH_SCALE
    rough = float(rng.uniform(0.0, 0.6))
    edge = float(rng.uniform(0.0, 3.6))
    brain = depth > rough * smooth_noise(shape, 14.0 / spacing, rng) - edge
    mni = anatomy.mni_scale.reshape(3, *[1] * dims) * points + anatomy.mni_offset.reshape(3, *[1] * dims)
    mni = mni.astype(np.float32)
    if flip:
        mni[0] *= -1
    own = None if anatomy.intensity is None else sample(anatomy.intensity[..., None], points)[0]
    parameters = {
        "anatomy": anatomy.name,
        "kind": anatomy.kind,
        "flip": flip,
        "zoom": zoom.round(4).tolist(),
        "tilt": tilt.round(4).tolist(),
    }
    parameters |= {
        "height_mni_mm": None if height is None else float(height),
        "shape_mm": shape_mm,
        "brain_edge_mm": edge,
    }
    return Canvas(fractions, depth, brain, mni, spacing, own, parameters)


def _values(anatomy: PreparedAnatomy, points: np.ndarray, volume: bool, rng: np.random.Generator) -> np.ndarray:
    """All channels at the points; in some slices averaged over 2 to 3 mm."""
    thick = 0.0 if volume or rng.random() > 0.2 else float(rng.uniform(0.8, 1.6))
    if not thick:
        return sample(anatomy.channels, points, anatomy.table)
    shift = np.array([0, 0, thick], np.float32).reshape(3, *[1] * (points.ndim - 1))
    return sum(sample(anatomy.channels, points + side * shift, anatomy.table) for side in (-1, 1)) / 2


def _rotation(angles: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        one = np.eye(3)
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ one
    return matrix

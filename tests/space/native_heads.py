# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small heads with a displacement that is known in closed form, on any grid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import Head, write_head

from mededit_monai.io.nifti import Volume, read_volume
from mededit_monai.space.fields import taper
from mededit_monai.space.flow import exponentiate
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import NativeFlow, native_flow

_VELOCITIES: dict[tuple, np.ndarray] = {}
_DISPLACEMENTS: dict[tuple, np.ndarray] = {}

#: Voxels of 4 x 4 x 5 mm: every orientation of them is done in a moment.
SMALL = {"spacing": (4.0, 4.0, 5.0), "shape": (40, 50, 26)}


@dataclass
class MovedHead:
    """A head, its grid of the model, and a velocity there (rows x n x ``space.shape``, mm)."""

    head: Head
    scan: Volume
    brain: np.ndarray
    space: ModelSpace
    velocity: np.ndarray

    def displacement(self, strength: float = 1.0) -> np.ndarray:
        """Of the flow at a strength; rows x n x ``space.shape``, mm."""
        return displacement_of(self.velocity, self.space.pixel_mm, strength)

    def flows(self, strength: float = 1.0) -> tuple[NativeFlow, NativeFlow]:
        """The displacement on the scan and its inverse."""
        forward, back = (native_flow(self.space, self.displacement(s), self.brain.shape) for s in (strength, -strength))
        return forward, forward.inverse(back)


def displacement_of(velocity: np.ndarray, pixel: float, strength: float) -> np.ndarray:
    """
    Rows x n x S, mm, of a velocity of that shape in mm: the most expensive thing here, and the same in many tests.

    It is found by the velocity's bytes, so that only the same velocity is spared; the last few are kept.
    """
    key = (hashlib.sha1(np.ascontiguousarray(velocity)).digest(), velocity.shape, velocity.dtype.str, pixel, strength)
    if key not in _DISPLACEMENTS:
        while len(_DISPLACEMENTS) >= 4:
            _DISPLACEMENTS.pop(next(iter(_DISPLACEMENTS)))
        _DISPLACEMENTS[key] = np.stack([exponentiate(row * (strength / pixel)) * pixel for row in velocity])
    return _DISPLACEMENTS[key].copy()  # a test may change its own


def moved_head(folder: Path, spatial_dims: int = 3, peak: float = 6.0, **head) -> MovedHead:
    """
    A head in which tissue is pushed outwards from a place in the right hemisphere, by up to ``peak`` mm of velocity.

    Args:
        head: of ``write_head``; by default small.
    """
    written = write_head(folder, **{**SMALL, **head})
    scan, brain = read_volume(written.scan), read_volume(written.brain).data > 0
    space = ModelSpace.around_brain(brain, scan.affine, 233, depth=112 if spatial_dims == 3 else None)
    if spatial_dims == 2:
        middle = brain.shape[2] // 2
        space = space.at(range(middle - 1, middle + 2))
    key = (spatial_dims, peak, head.get("spacing"), head.get("shape"))  # however its axes point, it is the same head
    if key not in _VELOCITIES:
        inside = space.to_model(brain, "brain")
        pushed = [push(row, space.pixel_mm, peak * (1 - 0.2 * k)) for k, row in enumerate(inside)]
        _VELOCITIES[key] = np.stack(pushed)
    return MovedHead(written, scan, brain, space, _VELOCITIES[key])


def push(brain: np.ndarray, pixel: float, peak: float) -> np.ndarray:
    """Velocity in mm; exactly 0 farther than 45 mm from the place, and outside the brain."""
    middle = (np.array(brain.shape) - 1) / 2
    at = np.stack(np.meshgrid(*[np.arange(n) - m for n, m in zip(brain.shape, middle)], indexing="ij")) * pixel
    at[0] -= 20  # mm to the right
    away = np.sqrt((at**2).sum(axis=0))
    size = np.exp(0.5) * peak / 18 * np.exp(-((away / 18) ** 2) / 2)
    fade = np.clip((45 - away) / 10, 0, 1) * brain
    return taper(at * size / pixel, fade) * pixel

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How large a person's lateral ventricles are: one brain's made anything from slits to markedly enlarged."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases.canvas import CHOROID, LEFT, RIGHT
from mededit_monai.space.fields import smoothstep
from mededit_monai.space.flow import exponentiate, warp
from mededit_monai.space.shapes import around, toward

#: How far walls may move outward, mm, and by how much more on one side than on the mean of both.
SIZES, ASYMMETRY = (-9.0, 6.0), 0.8

#: Volumes of both lateral ventricles together, ml, that persons are given as far as walls may move for it.
VOLUMES = (6.0, 90.0)

#: Sizes whose flow is worked out lie so many mm apart, on a grid of so many mm.
STEP_MM, GRID_MM = 1.5, 3

#: The field that moves the wall fades out over so many mm of tissue, and toward the brain's surface.
REACH_MM, SURFACE_MM = 6.0, 12.0


class VentricleSizes:
    """
    Flows exp(a · v) of one anatomy, v pointing into its lateral ventricles with length 1 at the walls; pull-back.

    Both ventricles have one field, so what is between them stays: a field for each would push the septum about.

    Args:
        fractions: uint8 XxYxZxC, 255 = 1, 1 mm; C begins with ``TISSUES``.
        depth: mm below the brain's surface, XxYxZ.
        middle: voxel of the midline along x.

    Attributes:
        any: whether a lateral ventricle is known.
        start: voxel of the first point of :meth:`field`'s grid.
        volumes_ml: of both ventricles at each of ``sizes_mm``.
    """

    def __init__(self, fractions: np.ndarray, depth: np.ndarray, middle: float) -> None:
        half, inner = GRID_MM // 2, tuple(slice(0, n // GRID_MM * GRID_MM) for n in depth.shape)
        shares = fractions[inner][..., [LEFT, RIGHT, CHOROID]].sum(axis=-1, dtype=np.float32) / 255
        blocks = shares.reshape([m for n in shares.shape for m in (n // GRID_MM, GRID_MM)])
        soft = np.clip(blocks.mean(axis=(1, 3, 5)), 0, 1)
        self.any = bool(soft.max() > 0.5)
        self.sizes_mm = np.arange(SIZES[0], SIZES[1] + STEP_MM / 2, STEP_MM)
        inside = smoothstep(depth[inner][half::GRID_MM, half::GRID_MM, half::GRID_MM] / SURFACE_MM)
        velocity = toward(soft, REACH_MM / GRID_MM) * (inside / np.float32(GRID_MM))
        part = around((velocity != 0).any(axis=0), 1) if velocity.any() else (slice(0, 1),) * 3
        self.start = np.array([p.start for p in part]) * GRID_MM + half
        self._flows = _flows(velocity[(slice(None), *part)], self.sizes_mm)  # sizes x 3 x grid, in steps of the grid
        carried = (warp(soft[part][None], flow).sum() for flow in self._flows)
        self.volumes_ml = np.array([float(total) for total in carried]) * GRID_MM**3 / 1000
        x = np.arange(self._flows.shape[2], dtype=np.float32) * GRID_MM + self.start[0]
        self._side = np.clip((x - middle) / 10, -1, 1)  # -1 left, 1 right

    def size_for(self, volume_ml: float) -> float:
        """How far walls move outward (mm) for ventricles of a volume; the nearest that is offered."""
        return float(np.interp(volume_ml, self.volumes_ml, self.sizes_mm))

    def field(self, size_mm: float, asymmetry_mm: float = 0.0) -> np.ndarray:
        """
        Displacement in mm (= voxels of the anatomy) on a 3 mm grid, XxYxZx3.

        Args:
            size_mm: how far the walls move outward; asymmetry_mm: so much more on the right and less on the left.
        """
        at = (np.clip(size_mm + asymmetry_mm * self._side, *SIZES) - SIZES[0]) / STEP_MM
        low = np.minimum(at.astype(int), len(self.sizes_mm) - 2)
        rest = (at - low).astype(np.float32).reshape(-1, 1, 1)
        planes = [np.stack([self._flows[k + j, :, x] for x, k in enumerate(low)], axis=1) for j in (0, 1)]
        return np.moveaxis(planes[0] * (1 - rest) + planes[1] * rest, 0, -1) * np.float32(GRID_MM)


def _flows(velocity: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """exp(a · velocity) for multiples a of STEP_MM, each from the one before it: exp(a + b) = exp(a) ∘ exp(b)."""
    flows = {0: np.zeros_like(velocity, dtype=np.float32)}
    for sign in (-1, 1):
        one = exponentiate(velocity * np.float32(sign * STEP_MM))
        for k in range(1, 1 + round(max(0.0, (sign * sizes).max()) / STEP_MM)):
            flows[sign * k] = one + warp(flows[sign * (k - 1)], one)
    return np.stack([flows[round(size / STEP_MM)] for size in sizes])

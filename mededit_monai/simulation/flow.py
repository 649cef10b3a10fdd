# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Diffeomorphic displacements: the flow of a stationary velocity field, integrated by scaling and squaring.

The flow of a smooth velocity field is invertible with a positive Jacobian whatever the field's size (Arsigny et al.,
MICCAI 2006, A Log-Euclidean framework for statistics on diffeomorphisms): u of v/2ⁿ is v/2ⁿ itself, and n compositions
of the map with itself give the map of v. A point whose velocity is zero stays exactly where it is.
"""

from __future__ import annotations

import numpy as np
import torch

#: Displacements are measured in pixels; steps of at most this size start the squaring.
FIRST_STEP = 0.25


def exponentiate(velocity: np.ndarray) -> np.ndarray:
    """
    Displacement of the flow of a velocity field at time 1.

    Args:
        velocity: nxS in pixels, n = 2 or 3.

    Returns:
        u with the map r → r + u(r); exactly 0 wherever the velocity is.
    """
    largest = float(np.abs(velocity).max(initial=0.0))
    if largest == 0:
        return np.zeros_like(velocity, dtype=np.float32)
    steps = max(0, int(np.ceil(np.log2(largest / FIRST_STEP))))
    still = ~(velocity != 0).any(axis=0)
    field = torch.from_numpy(np.ascontiguousarray(velocity, dtype=np.float32) / np.float32(2**steps))[None]
    base = _identity(velocity.shape[1:])
    for _ in range(steps):
        field = field + _sample(field, base, field)
    displacement = field[0].numpy().copy()
    displacement[:, still] = 0
    return displacement


def warp(planes: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """
    Pull images through a displacement: out(r) = in(r + u(r)), linear; the very same bytes where u = 0.

    Args:
        planes: CxS.
        displacement: nxS in pixels.
    """
    planes = np.ascontiguousarray(planes, dtype=np.float32)
    field = torch.from_numpy(np.ascontiguousarray(displacement, dtype=np.float32))[None]
    moved = (displacement != 0).any(axis=0)
    warped = _sample(torch.from_numpy(planes)[None], _identity(planes.shape[1:]), field)[0].numpy()
    return np.where(moved, warped, planes)


def jacobian(displacement: np.ndarray) -> np.ndarray:
    """Determinant of the Jacobian of r → r + u(r) by central differences; S."""
    n = len(displacement)
    if n == 2:
        (ax, ay), (bx, by) = (np.gradient(part) for part in displacement)
        return (1 + ax) * (1 + by) - ay * bx
    rows = [np.stack(np.gradient(displacement[i].astype(np.float64))) for i in range(n)]
    matrix = np.stack([row + np.eye(n)[i].reshape(n, *[1] * n) for i, row in enumerate(rows)])
    return np.linalg.det(np.moveaxis(matrix, (0, 1), (-2, -1)))


def _identity(shape: tuple[int, ...]) -> torch.Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def _sample(planes: torch.Tensor, base: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    where = base + displacement
    sizes = torch.tensor([max(n - 1, 1) for n in where.shape[2:]], dtype=torch.float32)
    scaled = where.movedim(1, -1) * (2 / sizes) - 1
    return torch.nn.functional.grid_sample(
        planes, scaled.flip(-1), mode="bilinear", padding_mode="border", align_corners=True
    )

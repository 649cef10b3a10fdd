# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Diffeomorphic displacements: the flow of a stationary velocity field, integrated by scaling and squaring.

The flow of a smooth velocity field is invertible with a positive Jacobian whatever the field's size (Arsigny et al.,
MICCAI 2006, A Log-Euclidean framework for statistics on diffeomorphisms): u of v/2ⁿ takes one small step, and n
compositions of the map with itself give the map of v. A point whose velocity is zero stays exactly where it is. The
flow of -v is the inverse of v's.

All are pull-backs in grid steps: out(r) = in(r + u(r)). ``flow``, ``pull`` and ``determinant`` work on batches of
tensors and can be differentiated; ``exponentiate``, ``warp`` and ``jacobian`` on one array.
"""

from __future__ import annotations

import numpy as np
import torch

#: Displacements are measured in grid steps; steps of at most this size start the squaring.
FIRST_STEP = 0.25


def flow(velocity: torch.Tensor) -> torch.Tensor:
    """
    Displacement of the flow of a velocity field at time 1.

    Args:
        velocity: NxnxS in grid steps, n = 2 or 3.

    Returns:
        u with the map r → r + u(r), NxnxS; exactly 0 wherever the velocity is. A case's flow does not depend on the
        others in its batch: every case takes its own number of squarings.
    """
    if not velocity.numel():
        return velocity
    largest = velocity.detach().abs().flatten(1).amax(dim=1).tolist()
    squarings = {k: max(0, int(np.ceil(np.log2(one / FIRST_STEP)))) for k, one in enumerate(largest) if one}
    found = list(velocity)  # not zeros: where nothing moves yet, a gradient must pass all the same
    for count in set(squarings.values()):
        cases = [k for k, one in squarings.items() if one == count]
        for k, one in zip(cases, _flow_in_steps(velocity[cases], count)):
            found[k] = one
    return torch.stack(found)


def _flow_in_steps(velocity: torch.Tensor, squarings: int) -> torch.Tensor:
    moving = (velocity != 0).any(dim=1, keepdim=True)
    first, base = velocity / 2**squarings, _identity(velocity.shape[2:]).to(velocity.device)
    # A midpoint step, second order: with v/2ⁿ itself the flows of v and -v undo each other only half as well.
    field = _sample(first, base, first / 2)
    for _ in range(squarings):
        field = field + _sample(field, base, field)
    return torch.where(moving, field, torch.zeros_like(field))


def pull(images: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """
    Pull images through displacements: out(r) = in(r + u(r)), linear; the very same values where u = 0.

    Args:
        images: NxCxS.
        displacement: NxnxS in grid steps.
    """
    moved = (displacement != 0).any(dim=1, keepdim=True)
    base = _identity(images.shape[2:]).to(images.device)
    return torch.where(moved, _sample(images, base, displacement), images)


def determinant(displacement: torch.Tensor) -> torch.Tensor:
    """Determinant of the Jacobian of r → r + u(r) by central differences; displacement NxnxS in grid steps → NxS."""
    n = displacement.shape[1]
    slopes = [torch.gradient(displacement[:, i], dim=tuple(range(1, n + 1))) for i in range(n)]
    rows = [[slopes[i][j] + (1.0 if i == j else 0.0) for j in range(n)] for i in range(n)]
    if n == 2:
        return rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def exponentiate(velocity: np.ndarray) -> np.ndarray:
    """:func:`flow` of one velocity field, nxS."""
    return flow(_batch_of_one(velocity))[0].numpy().copy()


def warp(planes: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """:func:`pull` of images CxS through one displacement, nxS."""
    return pull(_batch_of_one(planes), _batch_of_one(displacement))[0].numpy()


def jacobian(displacement: np.ndarray) -> np.ndarray:
    """:func:`determinant` of one displacement, nxS → S."""
    return determinant(_batch_of_one(displacement))[0].numpy()


def _batch_of_one(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]


def _identity(shape: tuple[int, ...]) -> torch.Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def _sample(images: torch.Tensor, base: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    where = base + displacement
    sizes = torch.tensor([max(n - 1, 1) for n in where.shape[2:]], dtype=torch.float32, device=where.device)
    scaled = where.movedim(1, -1) * (2 / sizes) - 1
    return torch.nn.functional.grid_sample(
        images, scaled.flip(-1), mode="bilinear", padding_mode="border", align_corners=True
    )

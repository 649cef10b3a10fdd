# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Linear elasticity on a grid: how a body yields when a part of it swells or shrinks.

Navier–Cauchy equations, div σ = 0 with σ = λ tr(ε - ε*) I + 2μ (ε - ε*), by bilinear (trilinear) finite elements, a
square (cube) each (Zienkiewicz & Taylor, The Finite Element Method, 5th ed. 2000, volume 1, chapters 4 and 8). ε* is
the eigenstrain, what a part would do if nothing held it back (Eshelby, Proc R Soc A 1957). No matrix is assembled:
SciPy's conjugate gradients ask for its products only.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import scipy  # its parts are loaded at their first use

#: Residual relative to the load at which the solver stops, and its most iterations.
TOLERANCE, MOST_ITERATIONS = 1e-4, 2000


def lame(young: np.ndarray, poisson: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lamé's λ and μ from Young's modulus and Poisson's ratio (below ½); plane strain in two dimensions."""
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def elastic_displacement(
    eigenstrain: np.ndarray, young: np.ndarray, poisson: np.ndarray, body: np.ndarray, tolerance: float = TOLERANCE
) -> np.ndarray:
    """
    Displacement of a body that is held at its surface and of which a part swells or shrinks.

    Args:
        eigenstrain: ε of ε* = ε I in each element, S: 0.1 would be 10 % longer in every direction. All 0: exactly 0.
        young, poisson: of each element, S. Young's modulus counts up to a factor.
        body: which elements belong to it, bool S; a node that touches any other element does not move.

    Returns:
        where material points go, in element sides at the elements' corners, n x (S + 1), float64.

    Raises:
        ValueError: shapes that differ.
        RuntimeError: the solver did not converge.
    """
    n, shape = body.ndim, body.shape
    if not eigenstrain.shape == young.shape == poisson.shape == shape:
        raise ValueError(f"got {eigenstrain.shape}, {young.shape}, {poisson.shape} and {shape} elements; wanted one S.")
    nodes = (n, *(side + 1 for side in shape))
    first, second = (np.where(body, modulus, 0.0) for modulus in lame(young, poisson))
    bulk, shear, push = _element(n)
    corners = [tuple(slice(c, c + m) for c, m in zip(corner, shape)) for corner in _corners(n)]
    free = np.ones(nodes[1:], bool)
    for corner in corners:
        free[corner] &= body
    for axis in range(n):  # the grid's border
        free[tuple(slice(None) if a != axis else [0, -1] for a in range(n))] = False

    def spread(per_element: np.ndarray) -> np.ndarray:
        """Sum what every element (n·2ⁿ numbers, axis after axis) gives its corners, at free nodes."""
        total = np.zeros(nodes)
        for number, corner in enumerate(corners):
            for axis in range(n):
                total[(axis, *corner)] += per_element[..., axis * len(corners) + number]
        return total * free

    def gathered(field: np.ndarray) -> np.ndarray:
        return np.stack([field[(axis, *corner)] for axis in range(n) for corner in corners], axis=-1)

    def times(vector: np.ndarray) -> np.ndarray:
        own = gathered(vector.reshape(nodes) * free)
        force = first[..., None] * (own @ bulk) + second[..., None] * (own @ shear)
        return spread(force).ravel()

    load = spread(((n * first + 2 * second) * eigenstrain)[..., None] * push)
    if not load.any():
        return load
    diagonal = spread(first[..., None] * np.diag(bulk) + second[..., None] * np.diag(shear))
    inverse = np.where(diagonal > 0, 1 / np.where(diagonal > 0, diagonal, 1), 0).ravel()
    square, size = (load.size, load.size), scipy.sparse.linalg.LinearOperator
    found, failed = scipy.sparse.linalg.cg(
        size(square, matvec=times, dtype=np.float64),
        load.ravel(),
        rtol=tolerance,
        maxiter=MOST_ITERATIONS,
        M=size(square, matvec=lambda vector: inverse * vector, dtype=np.float64),
    )
    if failed:
        raise RuntimeError(f"conjugate gradients did not converge in {MOST_ITERATIONS} iterations")
    return np.asarray(found).reshape(nodes)


def _corners(n: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=n))


@lru_cache(maxsize=2)
def _element(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Of an element with sides 1: stiffness for λ = 1 and for μ = 1, and ∫ div N, the load of a unit pressure; rows in the
    order axis, corner. Two Gauss points an axis, exact for what is integrated.
    """
    corners = np.array(_corners(n))
    points = np.array(list(itertools.product((0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5), repeat=n)))
    size = n * len(corners)
    bulk, shear, push = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    for point in points:
        shape = np.where(corners == 1, point, 1 - point)  # corner, axis
        slope = np.stack(
            [np.where(corners[:, a] == 1, 1, -1) * np.delete(shape, a, axis=1).prod(axis=1) for a in range(n)]
        )
        strain = np.zeros((n, n, size))  # ∂_b of component a
        for a in range(n):
            strain[a, :, a * len(corners) : (a + 1) * len(corners)] = slope
        divergence = np.trace(strain)
        symmetric = (strain + strain.swapaxes(0, 1)) / 2
        bulk += np.outer(divergence, divergence) / len(points)
        shear += 2 * np.einsum("abi,abj->ij", symmetric, symmetric) / len(points)
        push += divergence / len(points)
    return bulk, shear, push

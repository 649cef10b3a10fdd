# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How far a case's lesion, and remote atrophy, move its tissue; a map that cannot fold, on the part that moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.simulation.draws import Draws
from mededit_monai.space.flow import exponentiate, jacobian, warp
from mededit_monai.space.shapes import around

#: A displacement whose smallest Jacobian is below this is halved until it is not: on a grid, even a flow can fold.
SMALLEST_JACOBIAN = 0.02

#: Global atrophy of a case that has some.
ATROPHY = (0.2, 1.0)


@dataclass
class Effects:
    """
    A case's displacement.

    Args:
        pull: out(r) = in(r + u(r)), grid steps, nxS; 0 outside ``part``.
        part: box that holds all that moves; None: nothing does.
        jacobian_min: smallest determinant.
        drawn: what was drawn.
    """

    pull: np.ndarray
    part: tuple[slice, ...] | None
    jacobian_min: float
    drawn: dict[str, Any]

    def warp(self, planes: np.ndarray) -> np.ndarray:
        """Planes CxS after the displacement; the very same values where nothing moves."""
        if self.part is None:
            return planes.copy()
        moved, inside = planes.copy(), (slice(None), *self.part)
        moved[inside] = warp(planes[inside], self.pull[inside])
        return moved


def draw_atrophy(draws: Draws, share: float) -> float:
    """Global atrophy of a case: from 0.2 to 1 in this share of all cases, else 0."""
    rng = draws.of("atrophy")
    return float(rng.uniform(*ATROPHY)) if rng.random() < share else 0.0


def draw_effects(
    disease: Disease, canvas: Canvas, lesion: np.ndarray, draws: Draws, global_atrophy: float = 0.0
) -> Effects:
    """
    The flow of a lesion's velocity v and that of remote atrophy w, exp(v + G · w).

    Args:
        lesion: uint8 S.
        global_atrophy: G.
    """
    velocity, drawn = disease.lesion_velocity(canvas, lesion, draws.of("effects"))
    if global_atrophy:
        remote, drawn["remote_atrophy"] = disease.remote_velocity(canvas, draws.of("effects", 1))
        velocity = velocity + np.float32(global_atrophy) * remote
    pull = np.zeros_like(velocity, dtype=np.float32)
    moves = (velocity != 0).any(axis=0)
    if not moves.any():
        return Effects(pull, None, 1.0, drawn)
    part = around(moves, 1)  # what moves stays where velocity is, so its flow needs no more
    inside = (slice(None), *part)
    velocity = velocity[inside]
    pull[inside] = exponentiate(velocity)
    smallest = float(jacobian(pull[inside]).min())
    while smallest < SMALLEST_JACOBIAN:
        velocity = velocity / 2
        pull[inside] = exponentiate(velocity)
        smallest = float(jacobian(pull[inside]).min())
    return Effects(pull, part, min(smallest, 1.0), drawn)

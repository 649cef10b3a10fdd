# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Laws of effects by name: how a lesion moves the tissue around it.

``own`` is the disease's, by which the shipped editors were trained; the others share nothing with it, so that an
editor can be measured on a truth that it was not made for. A law is called as the disease's ``lesion_velocity``, with
the disease before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mededit_monai.core.registry import Registry
from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.space.fields import smoothstep, taper

OWN = "own"

#: (disease, canvas, regions, rng) → velocity nxS in grid steps, pull-back, exactly 0 outside the brain; and what was
#: drawn.
Law = Callable[[Disease, Canvas, np.ndarray, np.random.Generator], Drawn]

LAWS: Registry[Law] = Registry(
    "law",
    builtin=tuple(f"{__name__}.{name}" for name in (OWN, "elastic", "inverse_square", "remote", "none")),
)

#: What edema swells by, as a share of what the solid part of a tumour does.
EDEMA = 0.3

#: Farthest that tissue is made to move, mm.
LARGEST_MM = 11.0


def source_of(disease: Disease, regions: np.ndarray) -> np.ndarray:
    """How much each point of a lesion swells or shrinks, S in [0, 1]: all of it in full, but edema."""
    shares = [0.0, *(EDEMA if name == "edema" else 1.0 for name in disease.structures)]
    return np.array(shares, np.float32)[regions]


def within_brain(velocity: np.ndarray, canvas: Canvas) -> np.ndarray:
    """
    A velocity faded out toward the brain's surface, and exactly 0 where it is small (see
    :func:`~mededit_monai.space.fields.taper`); no longer than ``LARGEST_MM``.
    """
    largest = float(np.sqrt((velocity**2).sum(axis=0).max(initial=0.0))) * canvas.spacing
    if largest > LARGEST_MM:
        velocity = velocity * np.float32(LARGEST_MM / largest)
    return taper(velocity, smoothstep(canvas.depth / 5) * canvas.brain)


def side_of(canvas: Canvas, lesion: np.ndarray) -> int:
    """Row of ``canvas.ventricles`` on the lesion's side: 0 left, 1 right."""
    return int(float(np.mean(canvas.mni[0][lesion] > 0)) >= 0.5)


SIDES = ("left", "right")

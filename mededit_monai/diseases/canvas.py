# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a disease draws on: a brain as fractions of tissue on a grid, and how bright its tissues are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Classes of tissue, in the order of a canvas's fractions; what is left of 1 is "other" (dura, bone, outside).
TISSUES = (
    "white",
    "cortex",
    "thalamus",
    "striatum",
    "pallidum",
    "brainstem",
    "cerebellum_gray",
    "cerebellum_white",
    "left_ventricle",
    "right_ventricle",
    "fluid",
    "choroid",
    "white_lesion",
    "vessel",
)
WHITE, CORTEX, LEFT, RIGHT, FLUID, CHOROID = (
    TISSUES.index(name) for name in ("white", "cortex", "left_ventricle", "right_ventricle", "fluid", "choroid")
)

#: What a ``tissue`` label image tells apart, label 1 first, and the classes that make it up. Lateral ventricles with
#: their choroid plexus have labels of their own; vessels belong to none.
TISSUE_LABELS: dict[str, tuple[str, ...]] = {
    "fluid": ("fluid",),
    "gray": ("cortex", "thalamus", "striatum", "pallidum", "cerebellum_gray"),
    "white": ("white", "brainstem", "cerebellum_white", "white_lesion"),
}


@dataclass
class Canvas:
    """
    A brain on a grid of S points (2-D or 3-D) in RAS order.

    Args:
        fractions: CxS in [0, 1], the classes of ``TISSUES``.
        depth: mm below the brain's surface, S; negative outside. Known up to 50 mm, deeper points have that.
        brain: bool, S.
        mni: MNI mm of every point (of the brain as it is shown), 3xS.
        spacing: mm of a grid step.
        intensity: of a scan or template, S; None for label maps.
        parameters: what was drawn.
    """

    fractions: np.ndarray
    depth: np.ndarray
    brain: np.ndarray
    mni: np.ndarray
    spacing: float
    intensity: np.ndarray | None
    parameters: dict

    @cached_property
    def ventricles(self) -> np.ndarray:
        """Fractions of the lateral ventricles (left, right) with the choroid plexus that lies in them, 2xS."""
        both = self.fractions[[LEFT, RIGHT]].copy()
        choroid = self.fractions[CHOROID]
        if choroid.any():
            right = self.mni[0] > 0
            both[0] += np.where(right, 0, choroid)
            both[1] += np.where(right, choroid, 0)
        return both

    @property
    def tissue(self) -> np.ndarray:
        """Fractions of fluid outside the lateral ventricles, gray and white matter, 3xS (see ``TISSUE_LABELS``)."""
        groups = [[TISSUES.index(name) for name in names] for names in TISSUE_LABELS.values()]
        return np.stack([sum(self.fractions[k] for k in group) for group in groups])

    @property
    def fluid(self) -> np.ndarray:
        """Fraction of fluid outside the lateral ventricles, S."""
        return self.fractions[FLUID]

    @property
    def white(self) -> np.ndarray:
        """Fraction of cerebral white matter, S."""
        return self.fractions[WHITE]

    @cached_property
    def parenchyma(self) -> np.ndarray:
        """Fraction of gray and white matter, S."""
        return np.clip(self.fractions[:LEFT].sum(axis=0), 0, 1)

    def hemisphere(self, point: np.ndarray) -> np.ndarray:
        """Which points lie on the same side of the midline as a point of the grid; bool S."""
        right = self.mni[0] > 0
        return right == right[tuple(point)]


@dataclass
class Contrast:
    """Mean intensities of tissues in a scan; white matter near 0.8."""

    white: float
    gray: float
    fluid: float
    vessel: float

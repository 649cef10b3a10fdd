# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""All that sets one disease apart from another, as a record; light to import, as are the modules that fill it in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mededit_monai.diseases.atrophy import remote_atrophy_velocity
from mededit_monai.diseases.canvas import Canvas, Contrast
from mededit_monai.space.model_size import MODEL_SIZE

STRATA = ("small", "medium", "large")

#: An array, and what was drawn at random for it by name: numbers and words, for the case's ``parameters.json``.
Drawn = tuple[np.ndarray, dict[str, Any]]


def no_displacement(canvas: Canvas, regions: np.ndarray, rng: np.random.Generator) -> Drawn:
    """The velocity of a lesion that moves nothing: zeros, nxS."""
    return np.zeros((regions.ndim, *regions.shape), np.float32), {}


def as_given(canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> Drawn:
    """A real mask is the lesion as it is."""
    return mask, {"lesion_kind": "given"}


@dataclass(frozen=True, kw_only=True)
class Disease:
    """
    A disease. Its module makes the record and registers it: ``DISEASES.add(name, Disease(name=name, …))``.

    A lesion is ``regions``, uint8 S: 0 outside, label k where the k-th of its ``structures`` is. The functions work in
    2-D and 3-D and take every random number from the generator ``rng``, so that a seed decides the case.

    Args:
        name: as it is registered; in options, names of files and a bundle's ``metadata.json``.
        window: side of the model's window in mm.
        percentile: of the slice that becomes 1.
        points: side of the grid that a slice is drawn on, 1.2 mm apart; finer ones cost time and are lost at 128x128.
        middle: MNI z (mm) of the thesis's slice; heights: MNI z of all slices drawn from.
        areas: smallest and largest area drawn, pixels at 128x128; strata: bounds of the medium stratum.
        sdedit_start: noise level of SDEdit, fraction of T (thesis).
        gadolinium: contrast agent.
        draw_lesion: (canvas, size_mm, rng) → regions inside the brain, as large as a disc (ball) of radius ``size_mm``;
            all 0 where there is no room.
        paint_lesion: (image, regions, contrast, spacing, rng) → the scan S with the lesion in it, float32. ``image``
            is the displaced scan, cut to 6 mm around the lesion; ``spacing`` are mm of a grid step.
        lesion_velocity: (canvas, regions, rng) → velocity of the lesion's indirect effects, nxS in grid steps: where
            it points to is what will be seen at a point, so tissue moves the other way. The flow of it is exact.
        remote_velocity: (canvas, rng) → velocity of global atrophy 1, added to it times a case's global atrophy.
        given_lesion: (canvas, mask, rng) → regions of a lesion from a real mask (uint8 S).
        given_share: of the lesion's area that a binary mask makes up if ``given_lesion`` adds to it.
        structures: names of a lesion's parts, label 1 first; what the judge tells apart.
        label_names: the same for ``dataset.json`` of nnU-Net; empty: the structures' names.
        bids_lesion: what ``desc-`` calls a lesion in BIDS.
        lesion_is_dark: a lesion is darker than the brain around it, or the scan was no T1.
        ventricle_change: lateral ventricles become larger (1), smaller (-1) or neither (0).
    """

    name: str
    window: int
    percentile: float
    points: int
    middle: float
    heights: tuple[int, int]
    areas: tuple[float, float]
    strata: tuple[float, float]
    sdedit_start: float
    gadolinium: bool = False
    draw_lesion: Callable[[Canvas, float, np.random.Generator], Drawn]
    paint_lesion: Callable[[np.ndarray, np.ndarray, Contrast, float, np.random.Generator], Drawn]
    lesion_velocity: Callable[[Canvas, np.ndarray, np.random.Generator], Drawn] = no_displacement
    remote_velocity: Callable[[Canvas, np.random.Generator], Drawn] = remote_atrophy_velocity
    given_lesion: Callable[[Canvas, np.ndarray, np.random.Generator], Drawn] = as_given
    given_share: float = 1.0
    structures: tuple[str, ...] = ("lesion",)
    label_names: tuple[str, ...] = ()
    bids_lesion: str = "lesion"
    lesion_is_dark: bool = False
    ventricle_change: int = 0

    @property
    def labels(self) -> bool:
        """Whether masks may hold labels of regions, and not one binary lesion alone."""
        return len(self.structures) > 1

    @property
    def mask_key(self) -> str:
        """Key of the most telling mask of a case: ``regions`` or ``pathology``."""
        return "regions" if self.labels else "pathology"

    @property
    def channel_name(self) -> str:
        """What nnU-Net's ``dataset.json`` calls the scan."""
        return "T1Gd" if self.gadolinium else "T1"

    @property
    def label_numbers(self) -> dict[str, int]:
        """Labels of a mask by name, background first, for nnU-Net's ``dataset.json``."""
        return {name: k for k, name in enumerate(("background", *(self.label_names or self.structures)))}

    @property
    def pixel_mm(self) -> float:
        """Side of a model pixel."""
        return self.window / MODEL_SIZE

    def stratum_of(self, area_px: float) -> str:
        """Size stratum of a lesion by its area at 128x128."""
        return STRATA[int(area_px >= self.strata[0]) + int(area_px > self.strata[1])]

    def stratum_of_volume(self, ml: float) -> str:
        """Size stratum of a lesion in a volume: that of the disc as wide as the ball of so many ml."""
        radius = (3000 * ml / (4 * math.pi)) ** (1 / 3)
        return self.stratum_of(math.pi * (radius / self.pixel_mm) ** 2)

    def large_points(self, spatial_dims: int) -> int:
        """Model pixels (voxels) above which a lesion is large: of volumes, a ball as wide as the large disc."""
        area = self.strata[1]
        return round(area if spatial_dims == 2 else 4 / 3 * math.pi * (area / math.pi) ** 1.5)

    def bounds_mm2(self, stratum: str) -> tuple[float, float]:
        """Areas of a stratum in mm²."""
        edges = (self.areas[0], *self.strata, self.areas[1])
        k = STRATA.index(stratum)
        return edges[k] * self.pixel_mm**2, edges[k + 1] * self.pixel_mm**2

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the diseases: window, percentile, strata of the thesis, heights; light to import."""

from __future__ import annotations

from dataclasses import dataclass

STRATA = ("small", "medium", "large")


@dataclass(frozen=True)
class Disease:
    """
    Args:
        window: side of the model's window in mm; percentile: of the slice that becomes 1.
        points: side of the grid that a slice is drawn on, 1.2 mm apart; finer ones cost time and are lost at 128x128.
        strata: bounds of the thesis's medium stratum in pixels at 128x128.
        areas: smallest and largest area drawn, pixels at 128x128.
        middle: MNI z (mm) of the thesis's slice; heights: MNI z of all slices drawn from.
        gadolinium: contrast agent.
        sdedit_start: noise level of SDEdit, fraction of T (thesis).
        labels: whether masks may hold a tumour's labels 1, 2, 3 (older: 1, 2, 4).
    """

    name: str
    window: int
    percentile: float
    strata: tuple[float, float]
    areas: tuple[float, float]
    middle: float
    heights: tuple[int, int]
    gadolinium: bool
    points: int
    sdedit_start: float
    labels: bool

    @property
    def pixel_mm(self) -> float:
        """Side of a model pixel."""
        return self.window / 128

    def stratum_of(self, area_px: float) -> str:
        """Size stratum of a lesion by its area at 128x128."""
        return STRATA[int(area_px >= self.strata[0]) + int(area_px > self.strata[1])]

    def bounds_mm2(self, stratum: str) -> tuple[float, float]:
        """Areas of a stratum in mm²."""
        edges = (self.areas[0], *self.strata, self.areas[1])
        k = STRATA.index(stratum)
        return edges[k] * self.pixel_mm**2, edges[k + 1] * self.pixel_mm**2


#: Slice 95 of the ICBM 152 grid is z = 23 mm; slice 90 of the BraTS grid lies near z = 20 mm. Strata: the thesis.
DISEASES = {
    "stroke": Disease("stroke", 233, 98.0, (18.5, 371.0), (3.0, 1500.0), 23.0, (-4, 62), False, 192, 0.2, False),
    "tumor": Disease("tumor", 200, 99.5, (135.75, 397.0), (25.0, 1300.0), 20.0, (-4, 58), True, 160, 0.6, True),
}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A box of a scan on a grid to paint on, finer than the model's: 1 mm, or the scan's voxel where that is coarser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mededit_monai.space.model_space import ModelSpace, weighted, with_every_component
from mededit_monai.space.shapes import bounding_box

#: Side of a point in mm: that of the scan's smallest voxel side, within these bounds, which a painter has learned.
FINEST_MM, COARSEST_MM = 1.0, 2.0

#: Voxels that differ from a point by less than this share are points: nothing is interpolated.
ALIKE = 0.02


@dataclass(frozen=True, eq=False)
class FineBox:
    """
    Points along the scan's axes (RAS order), equally far from each other in mm along all three.

    Args:
        start: place of the first point, in voxels of the scan (x, y, z); may lie outside the scan.
        step: voxels a point (x, y, z); whole and 1 where a voxel is a point.
        shape: points.
        pixel_mm: side of a point.
    """

    start: tuple[float, float, float]
    step: tuple[float, float, float]
    shape: tuple[int, int, int]
    pixel_mm: float

    #: As :class:`~mededit_monai.space.model_space.ModelSpace` says it of volumes.
    spatial_dims = 3

    @classmethod
    def around(
        cls, lesion: np.ndarray, voxel_mm: np.ndarray, margin_mm: float, smallest: int, multiple: int
    ) -> FineBox:
        """
        The box around a lesion.

        Args:
            lesion: bool, XxYxZ RAS, not empty; voxel_mm: voxel size.
            margin_mm: more on each side; smallest: points a side; multiple: what every side is one of.
        """
        side = float(np.clip(voxel_mm.min(), FINEST_MM, COARSEST_MM))
        if abs(voxel_mm.min() / side - 1) < ALIKE:
            side = float(voxel_mm.min())
        step = np.where(np.abs(voxel_mm / side - 1) < ALIKE, 1.0, side / voxel_mm)
        ends = bounding_box(lesion)
        points = np.ceil((ends[:, 1] - ends[:, 0]) / step + 1 + 2 * margin_mm / side).astype(int)
        points = np.maximum(points, smallest)
        points += -points % multiple
        start = ends.mean(axis=1) - (points - 1) / 2 * step
        start = np.where(step == 1, np.floor(start + 0.5), start)
        return cls(_three(start), _three(step), (int(points[0]), int(points[1]), int(points[2])), side)

    def to_fine(self, volume: np.ndarray) -> np.ndarray:
        """
        An image on the scan's grid at the points: linear, anti-aliased where points are coarser; zero outside the scan.

        Args:
            volume: XxYxZ in RAS order, any number type; a mask gives the share of every point that it covers.

        Returns:
            ``shape`` float32.
        """
        axes = [self._from_voxels(axis, count) for axis, count in enumerate(volume.shape)]
        part = volume[tuple(slice(first, first + weights.shape[1]) for first, weights in axes)]
        return weighted(part.astype(np.float32), [weights for _, weights in axes])

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask at the points that it covers by half; a component that covers none by half keeps its nearest; bool."""
        return with_every_component(self.to_fine(mask) >= 0.5, mask, self._nearest)

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """The label that covers most of each point, 1 where none does; uint8 from whole numbers."""
        shares = [self.to_fine(labels == label) for label in range(1, max(1, int(labels.max())) + 1)]
        return (np.argmax(shares, axis=0) + 1).astype(np.uint8)

    def to_model(self, change: np.ndarray, space: ModelSpace) -> np.ndarray:
        """A change that is 0 at the box's faces, averaged to the model's grid: 1 x ``space.shape`` float32."""
        weights = []
        for axis, (first, step, count) in enumerate(zip(self.start, self.step, self.shape)):
            model = np.arange(space.shape[axis])
            per_point = space.on_axis(first + step, axis) - space.on_axis(first, axis)
            more = int(np.ceil(1 / per_point)) + 1  # points beyond the box, so that all of the model weighs alike
            places = space.on_axis(first + step * np.arange(-more, count + more), axis)
            near = np.maximum(0, 1 - np.abs(model[:, None] - places) / max(1.0, per_point))
            total = near.sum(axis=1, keepdims=True)
            whole = 1 / min(1.0, per_point)
            weights.append((near / np.where(total > whole / 2, total, whole))[:, more:-more].astype(np.float32))
        return weighted(change.astype(np.float32), weights)[None]

    def to_native_slice(self, fine: np.ndarray, z: int, shape: tuple[int, int]) -> np.ndarray:
        """1 x ``shape`` at the voxels of a slice of the scan, XxY float32; 0 beyond the box, averaged to thick ones."""
        weights = self._to_voxels(2, np.array([z]))[0]
        used = np.flatnonzero(weights)
        plane = fine[0][:, :, used].astype(np.float32) @ weights[used]
        along_x, along_y = (self._to_voxels(axis, np.arange(count)) for axis, count in enumerate(shape))
        found: np.ndarray = along_x @ plane @ along_y.T
        return found

    def reached(self, fine: np.ndarray, count: int) -> list[int]:
        """Slices of a scan of ``count`` slices in which :meth:`to_native_slice` can be anything but zero."""
        planes = np.flatnonzero(fine[0].any(axis=(0, 1)))
        weights = self._to_voxels(2, np.arange(count))
        return [int(z) for z in np.flatnonzero(weights[:, planes].any(axis=1))]

    def row_of(self, z: int) -> int:
        """Row of an array that slice ``z`` of the scan is in."""
        return 0

    @cached_property
    def voxels(self) -> tuple[slice, slice, slice]:
        """Voxels of the scan around all points; may reach beyond the scan."""
        x, y, z = (
            slice(int(np.floor(first)), int(np.ceil(first + step * (count - 1))) + 1)
            for first, step, count in zip(self.start, self.step, self.shape)
        )
        return x, y, z

    def _nearest(self, voxels: np.ndarray) -> tuple[np.ndarray, ...]:
        places = np.rint((voxels - np.array(self.start)) / np.array(self.step)).astype(int)
        return tuple(np.clip(place, 0, count - 1) for place, count in zip(places.T, self.shape))

    def _from_voxels(self, axis: int, count: int) -> tuple[int, np.ndarray]:
        """Weights of the scan's voxels at the points, points x voxels, from a first voxel on."""
        places = self.start[axis] + self.step[axis] * np.arange(self.shape[axis])
        width = max(self.step[axis], 1.0)
        low, high = int(np.floor(places[0] - width)), int(np.ceil(places[-1] + width))
        weights = np.maximum(0, 1 - np.abs(np.arange(low, high + 1) - places[:, None]) / width)
        weights /= weights.sum(axis=1, keepdims=True)  # before the scan's end cuts them off: beyond it there is nothing
        first, last = min(max(low, 0), count), min(max(high + 1, 0), count)
        return first, weights[:, first - low : last - low].astype(np.float32)

    def _to_voxels(self, axis: int, voxels: np.ndarray) -> np.ndarray:
        """Weights of the points at voxels of the scan, voxels x points."""
        places = (voxels - self.start[axis]) / self.step[axis]
        width = max(1 / self.step[axis], 1.0)
        index = np.arange(-int(np.ceil(width)), self.shape[axis] + int(np.ceil(width)))
        weights = np.maximum(0, 1 - np.abs(index - places[:, None]) / width)
        total = weights.sum(axis=1, keepdims=True)
        kept = slice(int(np.ceil(width)), int(np.ceil(width)) + self.shape[axis])
        return (weights / np.where(total > 0, total, 1))[:, kept].astype(np.float32)


def _three(numbers: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(number) for number in numbers)
    return x, y, z

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a model pixel lies in the scan, for slices and for volumes, and the way back.

The thesis zero-pads (ATLAS) or crops (BraTS) a 1 mm slice to a square and resizes it to 128×128. Stated in millimetres
this holds for any field of view and voxel size: a window of 233 mm (stroke) or 200 mm (tumour) centred on the brain. A
volume's planes are exactly such slices, a model pixel apart along z, where an anti-aliased linear filter follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.space.model_size import MODEL_SIZE
from mededit_monai.space.shapes import main_box


@dataclass(frozen=True, eq=False)
class ModelSpace:
    """
    The model's grid over a scan in RAS order.

    Its arrays hold rows x size x size, an axial slice a row (2-D), or 1 x size x size x depth (3-D). Scans that are on
    the model's grid already are taken as they are: there ``unit_mm`` is a model pixel, and every map is the identity.

    Args:
        scan_affine: 4x4, voxel (x, y, z) of the scan in RAS order → world mm.
        spacing: voxel size of the scan (x, y, z), in units of ``unit_mm``.
        start: voxel (x, y) at which the window's first point is sampled; whole numbers, so that a 1 mm slice is
            cropped and padded without interpolation.
        heights: index on the scan's z axis of every axial plane of the model, ascending: any slices in 2-D, evenly
            spaced places in 3-D.
        window: side of the window, in units of ``unit_mm``; whole.
        size: model pixels a side.
        spatial_dims: 2 or 3.
        unit_mm: 1, or a model pixel.
    """

    scan_affine: np.ndarray
    spacing: tuple[float, float, float]
    start: tuple[int, int]
    heights: np.ndarray
    window: int
    size: int = MODEL_SIZE
    spatial_dims: int = 2
    unit_mm: float = 1.0

    @classmethod
    def around_brain(
        cls, brain: np.ndarray, affine: np.ndarray, window: int = 233, size: int = MODEL_SIZE, depth: int | None = None
    ) -> ModelSpace:
        """
        Centre the window on the bounding box of the brain, without voxels astray far from it.

        Args:
            brain: bool, XxYxZ in RAS order, not empty. The whole volume, so that all slices share a grid.
            affine: 4x4, its voxel → world mm.
            window: mm.
            depth: model pixels along z, for volumes; None for slices, which are then all of the scan's.
        """
        affine = np.asarray(affine, dtype=np.float64)
        x, y, z = (float(step) for step in np.linalg.norm(affine[:3, :3], axis=0))
        centre, pixel = main_box(brain).mean(axis=1), window / size
        # floor(a + 1/2): round() would send halves to the even neighbour, which differs between mirrored scans.
        start = [int(np.floor(c - (window - 1) / 2 / step + 0.5)) for c, step in zip(centre, (x, y))]
        heights, more = np.arange(brain.shape[2]), {"size": size, "spatial_dims": 2 if depth is None else 3}
        ready = brain.shape[:2] == (size, size) and np.allclose((x, y), pixel, rtol=1e-3)
        if depth is not None and not (ready and brain.shape[2] == depth and np.isclose(z, pixel, rtol=1e-3)):
            heights = centre[2] + (np.arange(depth) - (depth - 1) / 2) * (pixel / z)
        elif depth is not None:
            z = pixel
        if ready:
            return cls(affine, (1.0, 1.0, z / pixel), (0, 0), heights, size, unit_mm=pixel, **more)
        return cls(affine, (x, y, z), (start[0], start[1]), heights, window, **more)

    def at(self, slices: Sequence[int]) -> ModelSpace:
        """The 2-D space of these slices alone, ascending; between the pieces of a lesion there may be gaps."""
        return replace(self, heights=np.asarray(slices))

    @property
    def rows(self) -> int:
        """Images of a network that the space holds: its slices, or one volume."""
        return len(self.heights) if self.spatial_dims == 2 else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (self.size, self.size, len(self.heights))[: self.spatial_dims]

    @property
    def pixel_mm(self) -> float:
        """Side of a model pixel: 1.82 mm for stroke, 1.56 mm for tumour."""
        return self._step * self.unit_mm

    @property
    def is_model_space(self) -> bool:
        """Whether the slices are on the model's own grid, as simulated and prepared cohorts are."""
        return self.window == self.size

    @property
    def affine(self) -> np.ndarray:
        """
        World mm of the model's voxels, 4x4.

        In 2-D the third axis counts the slices, a slice of the scan apart: it is right up to the first gap, beyond
        which no affine could be.
        """
        to_voxel = np.eye(4)
        for axis in range(2):
            to_voxel[axis, axis] = self._step / self.spacing[axis]
            to_voxel[axis, 3] = self.start[axis] + (self._step / 2 - 0.5) / self.spacing[axis]
        to_voxel[2, 2] = 1.0 if self.spatial_dims == 2 or len(self.heights) == 1 else self.heights[1] - self.heights[0]
        to_voxel[2, 3] = self.heights[0]
        return self.scan_affine @ to_voxel

    @property
    def directions(self) -> np.ndarray:
        """3x3, a unit vector in world space (RAS) a column: which way the axes of scan and model point."""
        return self.scan_affine[:3, :3] / np.linalg.norm(self.scan_affine[:3, :3], axis=0)

    @property
    def _step(self) -> float:
        return self.window / self.size

    def outside(self, mask: np.ndarray) -> int:
        """How many voxels of a mask (bool, XxYxZ RAS) lie beyond the window; in 2-D, of those in the space's slices."""
        part = mask[:, :, self.heights] if self.spatial_dims == 2 else mask
        places = [self.on_axis(np.arange(mask.shape[axis]), axis) for axis in range(self.spatial_dims)]
        within = [(place >= -0.5) & (place <= side - 0.5) for place, side in zip(places, self.shape)]
        return int(np.count_nonzero(part)) - int(np.count_nonzero(part[np.ix_(*within)]))

    def window_warnings(self, **masks: np.ndarray) -> list[str]:
        """A sentence for each mask (by what it shows) of which the model does not see all."""
        return [
            f"{count} of the {int(np.count_nonzero(mask))} voxels of the {name} lie outside the model's window of "
            f"{round(self.window * self.unit_mm)} mm around the brain and are not seen by it; check that the brain "
            f"mask is right, without pieces far from the brain."
            for name, mask in masks.items()
            if (count := self.outside(mask))
        ]

    def to_model(self, volume: np.ndarray, kind: str = "intensity") -> np.ndarray:
        """
        Bring an image on the scan's grid to the model's; zero outside the scan.

        Args:
            volume: XxYxZ in RAS order.
            kind: ``intensity`` and ``coverage`` (of a mask, the share of every pixel that it covers) are linear and
                anti-aliased. Of a ``mask`` a pixel is set where at least half of it is covered, and a component with
                no such pixel keeps its best: the thesis's smallest stratum starts at single pixels, and a lesion must
                not vanish on the way to the model. A ``brain`` is sampled with nearest neighbours first. Of
                ``labels`` (whole numbers from 0) a pixel gets the one that covers most of it, 1 where none does.

        Returns:
            rows x ``shape``: float32, bool for ``mask`` and ``brain``, uint8 for ``labels``.
        """
        if kind == "labels":
            shares = [self.to_model(volume == label, "coverage") for label in range(1, max(1, int(volume.max())) + 1)]
            return (np.argmax(shares, axis=0) + 1).astype(np.uint8)
        if kind == "mask":
            return self._volume_mask(volume) if self.spatial_dims == 3 else self._slices_mask(volume)
        if kind == "brain" and self.spatial_dims == 2:
            return np.stack([shrunk_mask(self.to_window(volume[:, :, z], 0), self.size) for z in self.heights])
        if kind not in ("intensity", "coverage", "brain"):
            raise ValueError(f"kind must be intensity, coverage, mask, brain or labels, got {kind!r}.")

        def plane_of(z: int) -> np.ndarray:
            return shrunk(self.to_window(volume[:, :, z], order=0 if kind == "brain" else 1), self.size)

        found = self.resample(plane_of, volume.any(axis=(0, 1)))
        return found >= 0.5 if kind == "brain" else found

    def resample(self, plane_of: Callable[[int], np.ndarray], used: np.ndarray) -> np.ndarray:
        """
        Build a model array from the scan's slices.

        Args:
            plane_of: z of a slice → ``size``x``size`` float32.
            used: bool, one a slice of the scan; a volume leaves out the others, which are zero.

        Returns:
            rows x ``shape`` float32.
        """
        if self.spatial_dims == 2:
            return np.stack([plane_of(int(z)) for z in self.heights])
        weights = self._weights(len(used))
        result = np.zeros((len(self.heights), self.size, self.size), dtype=np.float32)
        for z in np.flatnonzero(used & weights.any(axis=0)):
            plane = plane_of(int(z))
            for k in np.flatnonzero(weights[:, z]):
                result[k] += weights[k, z] * plane
        return np.moveaxis(result, 0, -1)[None]

    def to_window(self, plane: np.ndarray, order: int = 1) -> np.ndarray:
        """
        Sample a slice of the scan at every mm of the window; zero outside the slice.

        Args:
            plane: XxY.
            order: 1 for intensities, 0 for labels.

        Returns:
            ``window``x``window`` float32.
        """
        plane = np.asarray(plane, dtype=np.float32)
        if order and min(self.spacing[:2]) < 0.99:
            # Taking every n-th voxel would fold fine noise into the result.
            plane = ndimage.gaussian_filter(plane, [max(0.0, (1 / s - 1) / 2) for s in self.spacing[:2]])
        axes = [start + np.arange(self.window) / step for start, step in zip(self.start, self.spacing)]
        return _sample(plane, axes, order)

    def _slices_mask(self, mask: np.ndarray) -> np.ndarray:
        found = np.zeros((self.rows, *self.shape), dtype=bool)
        for row, z in zip(found, self.heights):
            if (plane := mask[:, :, z]).any():
                covered = self.to_window(plane)
                if not covered.any():  # a lesion between the samples of a much finer grid
                    width = int(np.ceil(1 / min(self.spacing[:2])))
                    covered = self.to_window(ndimage.maximum_filter(plane, size=width))
                row[...] = shrunk_mask(covered, self.size)
        return found

    def _volume_mask(self, mask: np.ndarray) -> np.ndarray:
        (small,) = self.to_model(mask, "coverage") >= 0.5
        return with_every_component(small, mask, self._nearest)[None]

    def _nearest(self, voxels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Voxels of the scan, Nx3 → indices of the nearest model voxels, an array an axis."""
        places = (np.rint(self.on_axis(voxels[:, axis], axis)) for axis in range(3))
        return tuple(np.clip(place, 0, side - 1).astype(int) for place, side in zip(places, self.shape))

    def _weights(self, count: int) -> np.ndarray:
        """Triangle filter along z, depth x count: as wide as the coarser of both grids; zero outside the scan."""
        width = max(self._step / self.spacing[2], 1.0)
        reach = int(np.ceil(width)) + 1
        low, high = int(np.floor(self.heights[0])) - reach, int(np.ceil(self.heights[-1])) + reach
        index = np.arange(min(low, 0), max(high, count) + 1)
        weights = np.maximum(0, 1 - np.abs(index[None] - self.heights[:, None]) / width)
        weights /= weights.sum(axis=1, keepdims=True)
        first = -int(index[0])
        return weights[:, first : first + count].astype(np.float32)

    def to_native(self, model: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """
        Sample a model array at every voxel of the scan (linear); zero outside the window and in other slices.

        Args:
            model: rows x ``shape``.
            shape: of the scan in RAS order, XxYxZ.

        Returns:
            XxYxZ float32.
        """
        native = np.zeros(shape, dtype=np.float32)
        for z in self.reached(model, shape[2]):
            native[:, :, z] = self.to_native_slice(model, z, shape[:2])
        return native

    def to_native_slice(self, model: np.ndarray, z: int, shape: tuple[int, int]) -> np.ndarray:
        """The same for slice ``z`` of the scan, which must be one of the space's in 2-D: ``shape`` float32."""
        plane = np.asarray(model[self.row_of(z)], dtype=np.float32)
        if self.spatial_dims == 3:
            plane = plane @ linear_weights(self.on_axis(np.array([z]), 2), plane.shape[2])[0]
        along_x, along_y = (
            linear_weights(self.on_axis(np.arange(count), axis), self.size) for axis, count in enumerate(shape)
        )
        return along_x @ plane @ along_y.T

    def reached(self, model: np.ndarray, count: int) -> list[int]:
        """Slices of a scan of ``count`` slices in which :meth:`to_native` can be anything but zero."""
        planes = np.flatnonzero(self.planes(model).any(axis=(1, 2)))
        if self.spatial_dims == 2:
            return [int(z) for z in self.heights[planes]]
        distance = np.abs(self.on_axis(np.arange(count), 2)[:, None] - planes[None])
        return [int(z) for z in np.flatnonzero((distance < 1).any(axis=1))]

    def row_of(self, z: int) -> int:
        """Row of a model array that slice ``z`` of the scan is in."""
        return int(np.searchsorted(self.heights, z)) if self.spatial_dims == 2 else 0

    def planes(self, model: np.ndarray) -> np.ndarray:
        """A model array as a stack of its axial planes, in the order of ``heights``: planes x size x size."""
        return model if self.spatial_dims == 2 else np.moveaxis(model[0], -1, 0)

    def on_axis(self, voxel: np.ndarray, axis: int) -> np.ndarray:
        """Place in the model of a voxel index of the scan; on the third axis of a volume only."""
        if axis == 2:
            return (voxel - self.heights[0]) * self.spacing[2] / self._step
        return ((voxel - self.start[axis]) * self.spacing[axis] + 0.5) / self._step - 0.5

    def points_to_world(self, points: np.ndarray) -> np.ndarray:
        """Model voxels (i, j, k), ...x3, as world mm (RAS)."""
        return np.asarray(points) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def points_to_model(self, points: np.ndarray) -> np.ndarray:
        """World mm (RAS), ...x3, as model voxels (i, j, k)."""
        return (np.asarray(points) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def vectors_to_world(self, vectors: np.ndarray) -> np.ndarray:
        """Displacements in mm along the axes of scan and model, 3x..., as mm along the world's (RAS)."""
        return np.tensordot(self.directions, vectors, axes=1)

    def vectors_to_model(self, vectors: np.ndarray) -> np.ndarray:
        """Displacements in world mm (RAS), 3x..., as mm along the axes of scan and model."""
        return np.tensordot(np.linalg.inv(self.directions), vectors, axes=1)


def shrunk(plane_mm: np.ndarray, size: int = MODEL_SIZE) -> np.ndarray:
    """Resize a window of 1 mm points to ``size``x``size`` with an anti-aliased linear filter; float32."""
    tensor = torch.from_numpy(np.ascontiguousarray(plane_mm, dtype=np.float32))[None, None]
    return torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)[0, 0].numpy()


def shrunk_mask(plane_mm: np.ndarray, size: int = MODEL_SIZE) -> np.ndarray:
    """
    Resize a mask on a window of 1 mm points (coverage in [0, 1]) and binarise it; ``size``x``size`` bool.

    A pixel is set where at least half of it is covered. A component too small for that keeps its best-covered pixel.
    """
    mask = shrunk(plane_mm, size) >= 0.5
    labels, count = ndimage.label(plane_mm > 0)
    for component in range(1, count + 1):
        part = shrunk(np.where(labels == component, plane_mm, 0), size)
        if not mask[part > 0].any():
            mask[np.unravel_index(part.argmax(), part.shape)] = True
    return mask


def linear_weights(places: np.ndarray, count: int) -> np.ndarray:
    """Weights of ``count`` samples at places between them, places x count float32; beyond the ends it fades to zero."""
    return np.maximum(0, 1 - np.abs(np.asarray(places)[:, None] - np.arange(count))).astype(np.float32)


def weighted(field: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """A field UxVxW at a product of places, whose weights (places x nodes) along each axis are given: AxBxC."""
    along_x, along_y, along_z = weights
    found: np.ndarray = np.tensordot(along_x, np.matmul(along_y, np.matmul(field, along_z.T)), axes=1)
    return found


def with_every_component(
    found: np.ndarray, mask: np.ndarray, nearest: Callable[[np.ndarray], tuple[np.ndarray, ...]]
) -> np.ndarray:
    """
    A mask on another grid in which no component is lost.

    Args:
        found: bool, the mask there, changed in place; mask: bool, XxYxZ.
        nearest: voxels of the mask, Nx3 → indices of the nearest points there, an array an axis.

    Returns:
        ``found``, with the point nearest to the centre of every component that has none.
    """
    labels, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        points = np.argwhere(labels[box] == number) + [side.start for side in box]
        if not found[nearest(points)].any():
            found[nearest(points.mean(axis=0, keepdims=True))] = True
    return found


def _sample(image: np.ndarray, axes: list[np.ndarray], order: int) -> np.ndarray:
    """Sample an image on the product of coordinate axes; zero outside."""
    grid = np.meshgrid(*axes, indexing="ij")
    return ndimage.map_coordinates(image, grid, order=order, mode="grid-constant", cval=0.0, output=np.float32)

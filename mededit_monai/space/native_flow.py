# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A displacement on the scan's own voxels: there the scan itself is pulled, so that its texture stays the scanner's.

What moves lies in the brain, so a box around it is kept and not the whole grid. Displacements are pull-backs in voxels
along the grid's axes, out(r) = in(r + u(r)), and exactly 0 where nothing moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.space.flow import determinant
from mededit_monai.space.model_space import ModelSpace, linear_weights, weighted

#: What moves by less in mm does not move: files hold whole multiples of it, which compresses to half the size.
GRAIN_MM = 2.0**-12

#: Degree of the spline that pulls a scan. A cubic one takes fine texture away where voxels are large (2 mm), a linear
#: one everywhere; studies.moved_texture measures what is left of it.
SPLINE = 5

#: Voxels around what is pulled that the spline's coefficients are computed from: their influence fades by 0.43 a voxel.
SPLINE_REACH = 12

#: Newton steps at most for an inverse, the error in voxels that is good enough, and over how far slopes are taken.
INVERSE_STEPS, INVERSE_ERROR, SLOPE_STEP = 20, 0.01, 0.1

#: Determinant of 1 + ∇u below which a Newton step would lead anywhere.
FLAT = 1e-4

#: Slabs of so many planes keep the memory of what is computed on the way small.
SLAB = 16

#: Closer than this to a voxel's middle, in voxels, a place is that voxel: grids that agree to rounding are the same.
SAME_PLACE = 1e-3

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class NativeFlow:
    """
    A displacement on a grid of voxels.

    Args:
        steps: u in voxels along the grid's axes, 3xAxBxC float32: of a box.
        start: the box's first voxel.
        shape: of the grid, XxYxZ.
        affine: voxel → world mm (RAS), 4x4.
        planar: whether every plane of the third axis moves within itself.
    """

    steps: np.ndarray
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    affine: np.ndarray
    planar: bool = False

    @property
    def box(self) -> Box:
        """Where ``steps`` lie in the grid."""
        x, y, z = (slice(first, first + count) for first, count in zip(self.start, self.steps.shape[1:]))
        return x, y, z

    @cached_property
    def moved(self) -> np.ndarray:
        """Where u is not 0, bool of the box."""
        return (self.steps != 0).any(axis=0)

    @property
    def millimetres(self) -> np.ndarray:
        """u of the box in mm along the world's axes (RAS), 3xAxBxC float32."""
        return np.tensordot(self.affine[:3, :3].astype(np.float32), self.steps, axes=1)

    @property
    def largest_mm(self) -> float:
        """The largest |u|."""
        return float(np.sqrt(max(((part**2).sum(axis=0).max() for part in _slabs(self.millimetres)), default=0.0)))

    @cached_property
    def smallest_jacobian(self) -> float:
        """Smallest determinant of the Jacobian of r → r + u(r), central differences on the grid; 1 if nothing moves."""
        padded = np.pad(self.steps, ((0, 0), (1, 1), (1, 1), (0, 0) if self.planar else (1, 1)))
        smallest, count = 1.0, padded.shape[1]
        for first in range(1, count - 1, SLAB):
            part = torch.from_numpy(padded[:, first - 1 : min(first + SLAB + 1, count)])
            batch = part[:2].permute(3, 0, 1, 2) if self.planar else part[None]
            if batch.numel():
                smallest = min(smallest, float(determinant(batch)[:, 1:-1].min()))
        return smallest

    def pulled(self, image: np.ndarray, order: int = SPLINE) -> np.ndarray:
        """
        An image pulled through the displacement, where anything moves.

        Args:
            image: of the grid, XxYxZ.
            order: of the spline; 1 is linear, 0 takes the nearest voxel. A spline of higher order overshoots beside
                sharp edges, so its values stay between the least and the largest of the 4³ voxels (in a plane 4²)
                around.

        Returns:
            float32, one a voxel of ``moved``, in its order.
        """
        if not self.moved.any():
            return np.zeros(0, np.float32)
        if not self.planar:
            return _pulled(image, self.steps, self.moved, self.start, order)
        values = np.zeros(self.moved.shape, np.float32)
        for z in np.flatnonzero(self.moved.any(axis=(0, 1))):
            moved = self.moved[:, :, z]
            plane = image[:, :, self.start[2] + z]
            values[:, :, z][moved] = _pulled(plane, self.steps[:2, :, :, z], moved, self.start[:2], order)
        return values[self.moved]

    def inverse(self, guess: NativeFlow) -> NativeFlow:
        """
        The displacement that undoes this one: x(r) + u(r + x(r)) = 0, u linear between voxels, as it is read.

        Newton's method; where a step leaves a voxel no nearer, half of it is tried, and so on.

        Args:
            guess: the inverse of the model's grid, whose interpolation alone is tenths of a voxel off.
        """
        found = np.where(self.moved, _in_box(guess, self), 0)
        for first in range(0, len(self.moved), SLAB):
            places = places_in(self.moved, first)
            here = found[(slice(None), *places)]
            error = here + _linear(self.steps, places + here)
            share = np.ones(places.shape[1], np.float32)
            for _ in range(INVERSE_STEPS):
                left = (np.abs(error) > INVERSE_ERROR).any(axis=0)
                if not left.any():
                    break
                places, here, error, share = places[:, left], here[:, left], error[:, left], share[left]
                new = here - share * _solved(self.steps, places + here, error)
                after = new + _linear(self.steps, places + new)
                nearer = (after**2).sum(axis=0) < (error**2).sum(axis=0)
                here, error = np.where(nearer, new, here), np.where(nearer, after, error)
                share = np.where(nearer, np.float32(1), share / 2)
                found[(slice(None), *places)] = here
        return replace(self, steps=found)

    def on(self, affine: np.ndarray, shape: tuple[int, int, int]) -> NativeFlow:
        """
        The same displacement of the world on another grid, linear between voxels, as programs read it from a file.

        Args:
            affine: voxel → world mm (RAS), 4x4; shape: of that grid.
        """
        to_here = places_of(affine, self.affine)
        if tuple(shape) == tuple(self.shape) and np.allclose(to_here, np.eye(4), atol=SAME_PLACE / max(shape)):
            return self
        box = box_on(self.box, to_here, shape)
        steps = np.zeros((3, *(side.stop - side.start for side in box)), np.float32)
        turn = np.linalg.inv(to_here[:3, :3])
        for first in range(0, steps.shape[1], SLAB):
            part = steps[:, first : first + SLAB]
            points = grid_points(box, first, part.shape[1:], to_here) - np.array(self.start)[:, None]
            part[...] = (turn @ _linear(self.steps, points)).reshape(part.shape)
        return NativeFlow(steps, (box[0].start, box[1].start, box[2].start), tuple(shape), affine)


def places_of(affine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Voxels of a grid → voxels of another one in the same world, 4x4; both affines are voxel → mm."""
    return np.linalg.inv(other) @ affine


def box_on(box: Box, to_box: np.ndarray, shape: tuple[int, ...]) -> Box:
    """
    The smallest box on a grid around all of its voxels that lie less than a voxel from a box of another grid.

    Args:
        to_box: voxels of the grid → voxels of the other, 4x4; shape: of the grid.
    """
    ends = np.array([[side.start - 1.0, side.stop] for side in box])
    corners = np.stack([ends[axis, bits] for axis, bits in enumerate(np.indices((2, 2, 2)).reshape(3, 8))])
    back = np.linalg.inv(to_box)
    found = back[:3, :3] @ corners + back[:3, 3:]
    low = np.clip(np.floor(found.min(axis=1) + SAME_PLACE).astype(int), 0, shape)
    high = np.clip(np.ceil(found.max(axis=1) - SAME_PLACE).astype(int) + 1, low, shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    return x, y, z


def grid_points(box: Box, first: int, size: tuple[int, ...], to_other: np.ndarray) -> np.ndarray:
    """Where voxels of a box, from its plane ``first`` on, lie on another grid; 3xN, whole where they nearly are."""
    index = np.indices(size).reshape(3, -1) + np.array([box[0].start + first, box[1].start, box[2].start])[:, None]
    points = to_other[:3, :3] @ index + to_other[:3, 3:]
    whole = np.rint(points)
    return np.where(np.abs(points - whole) < SAME_PLACE, whole, points)


def native_flow(space: ModelSpace, displacement: np.ndarray, shape: tuple[int, int, int]) -> NativeFlow:
    """
    A displacement from the model's grid on the scan's voxels.

    Linear between the model's voxels: what did not fold there hardly folds here (a smoother interpolation is nearer to
    the velocity's flow, by hundredths of a mm, but overshoots beside the brain's edge), and where none of the model's
    voxels around moves, u is exactly 0. Beside the brain it fades out within a model pixel.

    Args:
        space: of the model's arrays.
        displacement: mm along the model's axes, rows x 2 x ``space.shape`` of slices, 1 x 3 x ... of a volume.
        shape: of the scan, XxYxZ RAS.
    """
    field = np.moveaxis(displacement, 0, -1) if space.spatial_dims == 2 else displacement[0]
    moving = (field != 0).any(axis=0)  # of the model: size x size x planes
    sides = [moving.any(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    axes = [_axis(space, axis, side, count) for axis, (side, count) in enumerate(zip(sides, shape))]
    start, weights = (axes[0][0], axes[1][0], axes[2][0]), [matrix for _, matrix in axes]
    voxel_mm = np.linalg.norm(space.scan_affine[:3, :3], axis=0).astype(np.float32)
    steps = np.zeros((3, *(len(matrix) for matrix in weights)), np.float32)
    for axis, component in enumerate(field):
        steps[axis] = weighted(component.astype(np.float32), weights)
    steps[:, np.abs(steps).max(axis=0) < GRAIN_MM] = 0
    steps /= voxel_mm[:, None, None, None]
    return NativeFlow(steps, start, tuple(shape), space.scan_affine, space.spatial_dims == 2)


def _axis(space: ModelSpace, axis: int, moving: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """
    Along an axis of the scan with ``count`` voxels: the first one that any of the model's moving nodes (bool) reaches,
    and from there on the nodes' weights for the voxels, voxels x nodes.
    """
    if axis == 2 and space.spatial_dims == 2:
        weights = (np.arange(count)[:, None] == space.heights).astype(np.float32)  # slices do not move each other
    else:
        weights = linear_weights(space.on_axis(np.arange(count), axis), len(moving))
    reached = np.flatnonzero(weights[:, moving].any(axis=1))
    if not len(reached):
        return 0, weights[:0]
    return int(reached[0]), weights[reached[0] : reached[-1] + 1]


def _in_box(flow: NativeFlow, like: NativeFlow) -> np.ndarray:
    """The steps of a flow on the same grid, in the box of another."""
    found = np.zeros_like(like.steps)
    inner, outer = [slice(None)], [slice(None)]
    for mine, its in zip(flow.box, like.box):
        low, high = max(mine.start, its.start), min(mine.stop, its.stop)
        inner.append(slice(low - mine.start, max(low, high) - mine.start))
        outer.append(slice(low - its.start, max(low, high) - its.start))
    found[tuple(outer)] = flow.steps[tuple(inner)]
    return found


def _slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """Slabs of an array whose second axis is the grid's first."""
    return (array[:, first : first + SLAB] for first in range(0, array.shape[1], SLAB) if array.size)


def places_in(moved: np.ndarray, first: int) -> np.ndarray:
    """Which voxels are set in a slab that begins at ``first``, axes x N."""
    places = np.argwhere(moved[first : first + SLAB]).T
    places[0] += first
    return places


def _solved(field: np.ndarray, points: np.ndarray, error: np.ndarray) -> np.ndarray:
    """d with (1 + ∇u) d = error, u a field as :func:`_linear` reads it and ∇u its slope at the points; 3xN."""
    slopes = np.tile(np.eye(3, dtype=np.float32), (len(error.T), 1, 1))
    for axis in range(3):
        if field.shape[axis + 1] > 1:
            ends = [points.astype(np.float32) for _ in range(2)]
            for end, part in zip(ends, (-0.5, 0.5)):
                end[axis] += part * SLOPE_STEP
            slopes[:, :, axis] += ((_linear(field, ends[1]) - _linear(field, ends[0])) / SLOPE_STEP).T
    slopes[np.abs(np.linalg.det(slopes)) < FLAT] = np.eye(3)
    found: np.ndarray = np.linalg.solve(slopes, error.T[..., None])[..., 0].T
    return found


def _linear(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A field 3xAxBxC at points 3xN of its box, linear; 0 outside. 3xN float32."""
    return np.stack([ndimage.map_coordinates(part, points, np.float32, 1, "grid-constant") for part in field])


def _pulled(image: np.ndarray, steps: np.ndarray, moved: np.ndarray, start: tuple[int, ...], order: int) -> np.ndarray:
    """:meth:`NativeFlow.pulled` of one volume or plane; steps and moved are of the box that begins at ``start``."""
    reach = int(np.ceil(np.abs(steps).max())) + (SPLINE_REACH if order > 1 else 1)
    low = [max(0, first - reach) for first in start]
    source = image[tuple(slice(a, first + n + reach) for a, first, n in zip(low, start, moved.shape))]
    coefficients = source = np.ascontiguousarray(source, dtype=np.float32)
    if order > 1:
        coefficients = ndimage.spline_filter(source, order, np.float32)
        least, most = (f(source, size=4, origin=-1) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    values = []
    for first in range(0, len(moved), SLAB):
        places = places_in(moved, first)
        points = places + steps[(slice(None), *places)] + (np.array(start) - low)[:, None].astype(np.float32)
        found = ndimage.map_coordinates(coefficients, points, np.float32, order, "mirror", prefilter=False)
        if order > 1:
            cell = tuple(np.clip(np.floor(p).astype(int), 0, n - 1) for p, n in zip(points, source.shape))
            found = np.clip(found, least[cell], most[cell])
        values.append(found)
    return np.concatenate(values)

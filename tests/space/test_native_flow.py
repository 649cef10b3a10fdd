# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Displacements on a scan's voxels against closed forms: where they reach, what they pull, how they are undone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage
from space.native_heads import moved_head

from mededit_monai.space.flow import exponentiate
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import NativeFlow, native_flow

#: Oblique, mirrored and anisotropic affines of scans in RAS order.
TURN = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]])
AFFINES = [np.diag([1.0, 1.0, 1.0, 1]), np.diag([1.3, 0.9, 5.0, 1])]
AFFINES += [np.block([[TURN @ np.diag([2.0, 1.5, 2.5]), np.array([[-70.0], [30], [9]])], [np.zeros((1, 3)), 1]])]


def flow_of(steps: np.ndarray, start=(0, 0, 0), shape=None, planar=False, affine=None) -> NativeFlow:
    """A flow whose steps are given."""
    steps = np.asarray(steps, np.float32)
    return NativeFlow(steps, start, shape or steps.shape[1:], np.eye(4) if affine is None else affine, planar)


def all_over(image: np.ndarray, flow: NativeFlow, order: int) -> np.ndarray:
    """The whole image after the displacement."""
    found = image.astype(np.float32).copy()
    found[flow.box][flow.moved] = flow.pulled(image, order)
    return found


def index(shape) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)


# --- from the model's grid ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("affine", AFFINES, ids=["1 mm", "anisotropic", "oblique"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_linear_displacement_is_the_same_on_the_scan(affine, spatial_dims):
    """u = A r + b is linear between any voxels: what the model has in mm is found on the scan in the world's mm."""
    extent = np.linalg.norm(affine[:3, :3], axis=0)
    shape = tuple(int(round(side / mm)) for side, mm in zip((150, 150, 120), extent))
    brain = np.ones(shape, bool)
    space = ModelSpace.around_brain(brain, affine, 233, depth=80 if spatial_dims == 3 else None)
    space = space.at([3, 4]) if spatial_dims == 2 else space
    slope = np.array([[0.02, -0.01, 0.03], [0.01, 0.03, 0.02], [-0.02, 0.01, 0.01]])
    if spatial_dims == 2:
        slope[2], slope[:, 2] = 0, 0
    nodes = index((*space.shape, space.rows) if spatial_dims == 2 else space.shape)
    places = space.points_to_world(np.moveaxis(nodes, 0, -1))
    along = places @ np.linalg.inv(space.directions).T  # mm along the axes
    u = np.moveaxis(along @ slope.T + [1.0, 2.0, 0.0 if spatial_dims == 2 else 3.0], -1, 0)
    u = np.moveaxis(u[:2], -1, 0) if spatial_dims == 2 else u[None]
    flow = native_flow(space, u.astype(np.float32), shape)
    voxels = np.moveaxis(index(shape)[(slice(None), *flow.box)], 0, -1)
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    wanted = world @ np.linalg.inv(space.directions).T @ slope.T + [1, 2, 0 if spatial_dims == 2 else 3]
    wanted = np.moveaxis(wanted @ space.directions.T, -1, 0)
    inside = np.s_[:, 2:-2, 2:-2, 1:-1] if spatial_dims == 3 else np.s_[:, 2:-2, 2:-2]
    assert flow.steps[0].size > 1000 and flow.planar == (spatial_dims == 2)
    assert np.abs(flow.millimetres - wanted)[inside].max() < 1e-3


def test_slices_move_where_they_are(tmp_path):
    """The rows of slices with a gap between them move as in a space without one, and the gap does not move."""
    head = moved_head(tmp_path, 2)
    low, middle, high = head.space.heights
    rows = head.displacement()
    whole, apart = native_flow(head.space, rows, head.brain.shape), head.space.at([low, high])
    found = native_flow(apart, rows[[0, 2]], head.brain.shape)
    for flow in (whole, found):
        assert flow.moved[:, :, low - flow.start[2]].any() and flow.moved[:, :, high - flow.start[2]].any()
    gap = middle - found.start[2]
    assert not found.moved[:, :, gap].any()
    kept = np.delete(whole.steps, middle - whole.start[2], axis=3)
    assert np.array_equal(np.delete(found.steps, gap, axis=3), kept)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_nothing_moves_where_no_model_voxel_around_does(tmp_path, spatial_dims):
    head = moved_head(tmp_path, spatial_dims)
    u = head.displacement()
    flow = native_flow(head.space, u, head.brain.shape)
    moving = (u != 0).any(axis=1).astype(np.float32)
    reached = head.space.to_native(moving, head.brain.shape) > 0
    found = np.zeros(head.brain.shape, bool)
    found[flow.box] = flow.moved
    assert found.any() and not found[~reached].any() and found.sum() > 0.99 * reached.sum()
    assert flow.largest_mm == pytest.approx(np.sqrt((u**2).sum(axis=1)).max(), rel=0.15)


def test_no_displacement_is_an_empty_flow(tmp_path):
    head = moved_head(tmp_path)
    flow = native_flow(head.space, np.zeros_like(head.velocity), head.brain.shape)
    assert not flow.moved.any() and flow.largest_mm == 0 and flow.smallest_jacobian == 1
    assert flow.pulled(head.scan.data).size == 0 and not flow.inverse(flow).moved.any()


# --- Jacobian -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slopes", [(0.5, 0, 0), (0, 1.5, 0), (0, 0, 0.9), (0.3, 0.4, 0.5)])
def test_smallest_jacobian_in_closed_form(slopes):
    """u_i = a_i sin(k x_i) / k: each 1 + ∂u_i/∂x_i is least in the middle, 1 - a_i sin(k) / k of differences."""
    n = 41
    k = 2 * np.pi / (n - 1)
    steps = np.array(slopes)[:, None, None, None] * np.sin(k * index((n, n, n))) / k
    least = [1 - a * np.sin(k) / k for a in slopes]
    assert flow_of(steps).smallest_jacobian == pytest.approx(np.prod(least), abs=1e-3)


def test_smallest_jacobian_counts_every_axis_and_slab():
    """A squeeze by half along any axis, in a box of several slabs: 1/2; a fold is below 0."""
    for axis, push in itertools.product(range(3), (0.25, 0.6)):
        steps = np.zeros((3, 60, 20, 20), np.float32)
        at = [slice(40, 50), slice(8, 12), slice(8, 12)]
        middle = 45 if axis == 0 else 10
        low, high = list(at), list(at)
        low[axis], high[axis] = slice(middle - 1, middle), slice(middle + 1, middle + 2)
        steps[(axis, *low)], steps[(axis, *high)] = push * 2, -push * 2
        wanted = 1 - 2 * push
        assert flow_of(steps).smallest_jacobian == pytest.approx(wanted, abs=1e-5)


def test_slices_have_jacobians_of_their_own():
    """Neighbouring slices may move apart as they like: a plane's determinant does not see the other."""
    steps = np.zeros((3, 20, 20, 2), np.float32)
    steps[0, 5:15, 5:15, 0], steps[0, 5:15, 5:15, 1] = 0.2, -0.2
    planar, volume = (flow_of(steps, planar=planar).smallest_jacobian for planar in (True, False))
    assert planar == pytest.approx(1 - 0.1, abs=1e-6) and volume <= planar


# --- pulling --------------------------------------------------------------------------------------------------------


def bump(shape, peak=2.5, planar=False) -> np.ndarray:
    """Steps that are smooth and 0 at the rim, another size along each axis."""
    at = index(shape)
    windows = [np.sin(np.pi * part / (n - 1)) ** 2 for part, n in zip(at, shape)]
    window = np.prod(windows[:2] if planar else windows, axis=0)
    steps = np.stack([peak * window, -0.7 * peak * window, 0 * window if planar else 0.4 * peak * window])
    return steps * (window > 1e-6)


@pytest.mark.parametrize("order", [1, 5])
@pytest.mark.parametrize("planar", [False, True])
def test_a_ramp_is_pulled_exactly(order, planar):
    """Interpolation of any order is exact on a linear image: out(r) = f(r + u(r))."""
    shape = (30, 28, 5) if planar else (30, 28, 26)
    at, slope = index((50, 50, shape[2] if planar else 46)), np.array([3.0, -2.0, 0 if planar else 1.5])
    image = np.tensordot(slope, at, axes=1) + 100
    start = (10, 11, 0) if planar else (10, 11, 9)
    flow = flow_of(bump(shape, planar=planar), start, image.shape, planar)
    wanted = image[flow.box] + np.tensordot(slope, flow.steps, axes=1)
    assert np.abs(flow.pulled(image, order) - wanted[flow.moved]).max() < 5e-3
    assert np.array_equal(
        all_over(image, flow, order)[flow.box][~flow.moved], image.astype("f4")[flow.box][~flow.moved]
    )


@pytest.mark.parametrize("order", [0, 1, 5])
def test_whole_steps_bring_the_very_values(order):
    image = np.random.default_rng(0).uniform(0, 900, (40, 40, 40)).astype(np.float32)
    steps = np.zeros((3, 10, 11, 12))
    steps[0], steps[1], steps[2] = 2, -3, 1
    flow = flow_of(steps, (12, 13, 14), image.shape)
    found = flow.pulled(image, order).reshape(10, 11, 12)
    assert np.abs(found - image[14:24, 10:21, 15:27]).max() < (0.01 if order == 5 else 1e-6)


def test_the_spline_sees_enough_around_the_box():
    """A spline's coefficients depend on the whole image: of what lies beyond the box, enough is looked at."""
    image = np.random.default_rng(5).uniform(0, 900, (60, 60, 60)).astype(np.float32)
    steps = bump((24, 24, 24))[:, 8:16, 8:16, 8:16]
    flow, wider = flow_of(steps, (26, 26, 26), image.shape), np.pad(steps, ((0, 0), (14, 14), (14, 14), (14, 14)))
    found, wanted = flow.pulled(image), flow_of(wider, (12, 12, 12), image.shape).pulled(image)
    assert found.size > 100 and np.abs(found - wanted).max() < 0.05


@pytest.mark.parametrize("planar", [False, True])
def test_no_rings_beside_an_edge(planar):
    """Beside a step from 0 to 100 a spline swings to -9 and 109; what is pulled stays between both."""
    image = np.zeros((40, 40, 40), np.float32)
    image[20:] = 100
    flow = flow_of(bump((30, 30, 30), planar=planar), (5, 5, 5), image.shape, planar)
    found = flow.pulled(image)
    assert found.min() >= 0 and found.max() <= 100
    raw = ndimage.spline_filter(image, 5)
    points = np.argwhere(flow.moved).T + 5 + flow.steps[(slice(None), *np.argwhere(flow.moved).T)]
    swing = ndimage.map_coordinates(raw, points, order=5, prefilter=False)
    assert swing.min() < -3 and swing.max() > 103


def test_clipping_looks_at_the_neighbourhood_alone():
    """Far from a bright spot nothing may be brighter than the tissue around."""
    image = np.random.default_rng(1).uniform(40, 60, (40, 40, 40)).astype(np.float32)
    image[0, 0, 0] = 1000
    found = flow_of(bump((30, 30, 30)), (5, 5, 5), image.shape).pulled(image)
    assert found.min() >= 40 and found.max() <= 60


def test_a_mirrored_image_is_pulled_alike():
    """Neither the spline nor its limits know left from right."""
    image = np.random.default_rng(6).uniform(0, 900, (40, 41, 42)).astype(np.float32)
    steps = bump((30, 30, 30))
    flow = flow_of(steps, (5, 5, 6), image.shape)
    found = all_over(image, flow, 5)
    for axis in range(3):
        turned = np.flip(steps, axis + 1).copy()
        turned[axis] *= -1
        start = [5, 5, 6]
        start[axis] = image.shape[axis] - start[axis] - 30
        other = all_over(np.flip(image, axis), flow_of(turned, tuple(start), image.shape), 5)
        assert np.abs(np.flip(other, axis) - found).max() < 0.1


def test_slices_do_not_mix():
    """In slices that move each on its own, a slice's values come from itself."""
    image = np.random.default_rng(2).uniform(0, 1, (40, 40, 3)).astype(np.float32) + [0, 10, 20]
    flow = flow_of(bump((30, 30, 3), planar=True), (5, 5, 0), image.shape, planar=True)
    found = all_over(image, flow, 5)
    for z in range(3):
        assert found[:, :, z].min() >= 10 * z and found[:, :, z].max() <= 10 * z + 1


@pytest.mark.parametrize("order, low, high", [(5, 0.95, 1.05), (1, 0.0, 0.9)])
def test_texture_survives(order, low, high):
    """Grain as a scanner's (a full width of 2 voxels): its s.d. stays with the spline, and not with linear."""
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.standard_normal((60, 60, 60)), 0.7)
    flow = flow_of(bump((50, 50, 50), peak=4.0), (5, 5, 5), image.shape)
    fine = [part - ndimage.gaussian_filter(part, 1.0) for part in (all_over(image, flow, order), image)]
    where = np.zeros(image.shape, bool)
    where[flow.box] = np.sqrt((flow.steps**2).sum(axis=0)) > 0.3
    assert low <= fine[0][where].std() / fine[1][where].std() <= high


# --- undoing --------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(4)
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("spacing, shape", [((4.0, 4.0, 5.0), (40, 50, 26)), ((1.0, 1.3, 5.0), (150, 150, 26))])
def test_the_inverse_undoes(tmp_path, spatial_dims, spacing, shape):
    """x(r) + u(r + x(r)) = 0: tissue is back where it was, within 0.01 voxel; the model's own inverse does not."""
    head = moved_head(tmp_path, spatial_dims, spacing=spacing, shape=shape)
    flow, inverse = head.flows()
    assert inverse.largest_mm == pytest.approx(flow.largest_mm, rel=0.2)
    alone = inverse.moved != flow.moved  # at the rim, where next to nothing moves
    assert alone.sum() <= 3 and np.abs(flow.steps[:, alone]).max(initial=0) < 1e-3 > np.abs(
        inverse.steps[:, alone]
    ).max(initial=0)
    places = np.argwhere(flow.moved).T

    def left_over(steps):
        back = steps[(slice(None), *places)]
        there = [ndimage.map_coordinates(part, places + back, order=1, mode="constant") for part in flow.steps]
        return np.abs(back + there).max()

    guess = native_flow(head.space, head.displacement(-1.0), head.brain.shape)
    assert left_over(inverse.steps) <= 0.011 < left_over(np.where(flow.moved, guess.steps, 0))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_inverse_where_tissue_is_pressed_together(seed):
    """To a tenth of its area: there the inverse turns within a fraction of a voxel, and its own slopes say nothing."""
    rng, weight = np.random.default_rng(seed), np.zeros((48, 48))
    weight[8:40, 8:40] = 1
    weight = ndimage.gaussian_filter(weight, 2)
    velocity = np.stack([ndimage.gaussian_filter(rng.standard_normal((48, 48)), 2) for _ in range(2)])
    velocity = (9 * velocity / np.abs(velocity).max() * np.where(weight > 0.02, weight, 0)).astype(np.float32)
    steps = [exponentiate(sign * velocity) for sign in (1, -1)]
    flow, guess = (flow_of(np.concatenate([u, 0 * u[:1]])[..., None], planar=True) for u in steps)
    assert 0.04 < flow.smallest_jacobian < 0.12
    found, places = flow.inverse(guess).steps, np.argwhere(flow.moved).T
    back = found[(slice(None), *places)]
    there = [ndimage.map_coordinates(part, places + back, order=1, mode="constant") for part in flow.steps]
    assert np.abs(back + there).max() <= 0.011


@pytest.mark.slow
def test_undone_images_are_the_image(tmp_path):
    """A ramp displaced and displaced back."""
    head = moved_head(tmp_path)
    flow, inverse = head.flows()
    ramp = np.tensordot([3.0, 5.0, 7.0], index(head.brain.shape), axes=1)
    undone = all_over(all_over(ramp, flow, 1), inverse, 1)
    moved = np.abs(all_over(ramp, flow, 1) - ramp).max()
    assert moved > 5 and np.abs(undone - ramp).max() < 0.05 * moved


# --- another grid ---------------------------------------------------------------------------------------------------


def test_on_its_own_grid_it_is_itself():
    flow = flow_of(bump((20, 20, 20)), (3, 4, 5), (40, 40, 40), affine=AFFINES[2])
    assert flow.on(AFFINES[2] + 1e-8, (40, 40, 40)) is flow
    assert flow.on(AFFINES[2], (40, 40, 41)) is not flow


@pytest.mark.parametrize("affine", AFFINES, ids=["1 mm", "anisotropic", "oblique"])
def test_on_another_grid_it_is_the_same_motion(affine):
    """Points of the world move as on the scan, by linear interpolation between its voxels."""
    here = np.diag([2.0, 2.0, 2.0, 1.0])
    flow = flow_of(bump((30, 30, 30)), (5, 5, 5), (40, 40, 40), affine=here)
    shift = affine.copy()
    shift[:3, 3] = (8, 11, 9)
    other = flow.on(shift, (45, 50, 30))
    whole = np.zeros((3, 40, 40, 40))
    whole[(slice(None), *flow.box)] = flow.steps
    voxels = index((45, 50, 30)).reshape(3, -1)
    points = (shift[:3, :3] @ voxels + shift[:3, 3:]) / 2
    wanted = 2 * np.stack([ndimage.map_coordinates(part, points, order=1, mode="constant") for part in whole])
    found = np.zeros((3, 45, 50, 30))
    found[(slice(None), *other.box)] = other.millimetres
    assert np.abs(wanted).max() > 1 and np.abs(found.reshape(3, -1) - wanted).max() < 1e-3

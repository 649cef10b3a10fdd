# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mededit_monai.space.model_space import ModelSpace, shrunk, shrunk_mask


def space_of(brain, spacing=(1.0, 1.0, 1.0), window=233, **more) -> ModelSpace:
    """The space around a brain (XxY: of one slice) whose axes are the world's."""
    brain = brain[:, :, None] if brain.ndim == 2 else brain
    spacing = (*spacing, 1.0)[:3]
    return ModelSpace.around_brain(brain, np.diag([*spacing, 1.0]), window, **more)


def blob(shape, centre, spacing, width=25.0):
    """A smooth bump in mm, so that any sampling of it can be compared with the formula."""
    x, y = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing)), indexing="ij")
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2)).astype(np.float32)


def test_atlas_grid_is_the_thesis_geometry():
    """On 197x233 at 1 mm the window is the slice zero-padded to a square, voxel for voxel."""
    brain = np.zeros((197, 233), dtype=bool)
    brain[20:177, 20:213] = True  # centred in the field of view
    plane = np.random.default_rng(0).random((197, 233)).astype(np.float32)
    space = space_of(brain)
    window = space.to_window(plane)
    assert window.shape == (233, 233)
    assert np.array_equal(window[18:215], plane)
    assert (window[:18] == 0).all() and (window[215:] == 0).all()
    assert space.pixel_mm == pytest.approx(1.82, abs=0.001)


def test_brats_grid_is_a_central_crop():
    brain = np.zeros((240, 240), dtype=bool)
    brain[50:190, 40:200] = True
    plane = np.random.default_rng(0).random((240, 240)).astype(np.float32)
    space = space_of(brain, window=200)
    assert np.array_equal(space.to_window(plane), plane[20:220, 20:220])
    assert space.pixel_mm == pytest.approx(1.5625)


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.8, 1.1), (2.0, 2.0)])
def test_same_picture_whatever_the_voxel_size(spacing):
    reference_brain = np.ones((160, 200), dtype=bool)
    (wanted,) = space_of(reference_brain).to_model(blob((160, 200), (70, 110), (1, 1))[:, :, None])
    shape = tuple(int(round(n / s)) for n, s in zip((160, 200), spacing))
    (found,) = space_of(np.ones(shape, dtype=bool), spacing).to_model(blob(shape, (70, 110), spacing)[:, :, None])
    shifts = [abs(a - b) for a, b in zip(ndimage.center_of_mass(found**4), ndimage.center_of_mass(wanted**4))]
    assert max(shifts) < 1.2 * max(spacing) / 1.82  # the window starts on a whole voxel
    aligned = ndimage.shift(found, np.subtract(ndimage.center_of_mass(wanted**4), ndimage.center_of_mass(found**4)))
    assert np.abs(aligned - wanted)[20:-20, 20:-20].max() < 0.05


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.2), (2.0, 2.0)])
def test_native_positions_of_model_pixels(spacing):
    """A model image that holds each pixel's own world coordinate must read the voxel's world coordinate back."""
    shape = (int(180 / spacing[0]), int(210 / spacing[1]))
    brain = np.ones((*shape, 9), dtype=bool)
    affine = np.array([[spacing[0], 0, 0, -90.0], [0, spacing[1], 0, -105.0], [0, 0, 3.0, 7.0], [0, 0, 0, 1]])
    space = ModelSpace.around_brain(brain, affine).at([4])
    model = space.affine
    index = np.arange(space.size)
    for axis in range(2):
        world = model[axis, axis] * index + model[axis, 3]
        plane = np.broadcast_to(world[:, None] if axis == 0 else world[None], (128, 128))
        native = space.to_native(plane[None], brain.shape)
        assert not np.delete(native, 4, axis=2).any()
        native = native[:, :, 4]
        wanted = affine[axis, axis] * np.arange(shape[axis]) + affine[axis, 3]
        line = native[:, shape[1] // 2] if axis == 0 else native[shape[0] // 2]
        assert np.allclose(line, wanted, atol=1e-3)
    assert model[2] @ [0, 0, 0, 1] == pytest.approx(4 * 3.0 + 7.0)


def test_resize_and_affine_agree():
    """A bump resized to the model grid sits where the affine says."""
    space = space_of(np.ones((197, 233), dtype=bool))
    (small,) = space.to_model(blob((197, 233), (60, 150), (1, 1), width=8)[:, :, None])
    pixel = ndimage.center_of_mass(small**2)
    world = space.affine @ [*pixel, 0, 1]
    assert world[:2] == pytest.approx([60, 150], abs=0.05)


def test_tiny_lesions_survive():
    plane = np.zeros((233, 233), dtype=np.float32)
    plane[100, 100] = plane[50:53, 180:182] = 1
    plane[150:170, 150:170] = 1
    mask = shrunk_mask(plane)
    _, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert count == 3
    assert mask.sum() == pytest.approx(400 / (233 / 128) ** 2, rel=0.1)


@pytest.mark.parametrize("window", [200, 233])
def test_model_space_is_taken_as_it_is(window):
    """Slices of simulated and prepared cohorts pass unchanged, wherever in them the brain lies."""
    rng, pixel = np.random.default_rng(0), window / 128
    plane = rng.uniform(0, 1, (128, 128)).astype(np.float32)
    brain = np.zeros((128, 128, 1), bool)
    brain[5:90, 30:120] = True
    space = space_of(brain, (pixel, pixel), window)
    assert space.is_model_space and space.pixel_mm == pytest.approx(pixel)
    assert np.array_equal(shrunk(space.to_window(plane)), plane)
    assert np.array_equal(space.to_model(plane[:, :, None])[0], plane)
    assert np.array_equal(space.to_native(plane[None], brain.shape)[:, :, 0], plane)
    lone = np.zeros((128, 128, 1), bool)
    lone[40, 41] = True
    assert np.array_equal(space.to_model(lone, "mask")[0], lone[:, :, 0])
    affine = np.diag([pixel, pixel, 1, 1])
    assert np.allclose(space.affine, affine)
    assert not space_of(brain, (pixel * 1.01, pixel), window).is_model_space
    assert not space_of(brain[:-1], (pixel, pixel), window).is_model_space


@pytest.mark.parametrize("window", [200, 233])
def test_a_volume_in_model_space_is_taken_as_it_is(window):
    rng, pixel = np.random.default_rng(0), window / 128
    volume = rng.uniform(0, 1, (128, 128, 20)).astype(np.float32)
    brain = np.zeros(volume.shape, bool)
    brain[5:90, 30:120, 3:12] = True
    space = space_of(brain, (pixel, pixel, pixel), window, depth=20)
    assert space.is_model_space and space.shape == volume.shape and np.allclose(space.affine[:3, 3], 0)
    assert np.array_equal(space.to_model(volume)[0], volume)
    assert np.array_equal(space.to_native(volume[None], volume.shape), volume)
    lone = np.zeros(volume.shape, bool)
    lone[40, 41, 7] = lone[90, 12, 19] = True
    for kind in ("mask", "brain"):
        assert np.array_equal(space.to_model(lone, kind)[0], lone)


def test_a_volume_of_slices_in_model_space_keeps_them():
    """Slices on the model's grid, further apart than it: they stay as they are in the plane, single voxels too."""
    pixel = 233 / 128
    brain = np.ones((128, 128, 9), bool)
    space = space_of(brain, (pixel, pixel, 4.0), depth=20)
    lone = np.zeros(brain.shape, bool)
    lone[100, 41, 4] = True
    found = space.to_model(lone, "mask")[0]
    assert np.argwhere(found).tolist() == [[100, 41, k] for k in np.flatnonzero(np.abs(space.heights - 4) <= 0.5)]


# --- the world: every orientation, anisotropic voxels, slices and volumes ---------------------------------------------

#: RAS-ordered affines: a head as it lies, tilted, turned about all axes; the last columns are where voxel 0 is.
TURNS = {"straight": (0, 0, 0), "tilted": (14, 0, 0), "turned": (-9, 12, 20)}
VOXELS = {"fine": ((0.8, 1.1, 3.0), (150, 150, 40)), "thin": ((1.6, 2.2, 0.7), (80, 70, 150))}


def scan_space(turn: str, voxel: str, depth: int | None) -> tuple[ModelSpace, tuple[int, int, int], np.ndarray]:
    spacing, shape = VOXELS[voxel]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", TURNS[turn], degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (-71.3, -88.8, -52.1)
    return ModelSpace.around_brain(np.ones(shape, bool), affine, window=140, size=64, depth=depth), shape, affine


def world_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """World mm of every voxel, XxYxZx3."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


CASES = [*itertools.product(TURNS, VOXELS, (None, 48))]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("turn, voxel, depth", CASES)
def test_a_ramp_in_world_coordinates_comes_back(turn, voxel, depth):
    """Model voxels that hold their own world coordinates give every native voxel its own, to a rounding error."""
    space, shape, affine = scan_space(turn, voxel, depth)
    places = space.points_to_world(np.moveaxis(np.indices((64, 64, len(space.heights))), 0, -1))
    for axis in range(3):
        model = np.moveaxis(places[..., axis], -1, 0) if depth is None else places[None, ..., axis]
        native = space.to_native(model, shape)
        inside = space.to_native(np.ones_like(model), shape) > 1 - 1e-6
        assert inside.mean() > 0.3
        assert np.abs(native - world_of(affine, shape)[..., axis])[inside].max() < 1e-4


@pytest.mark.one_in(4)
@pytest.mark.parametrize("turn, voxel, depth", CASES)
def test_a_ramp_goes_to_its_place(turn, voxel, depth):
    """
    The other way the filter has a say: a triangle as wide as no whole number of voxels is off by up to 3 % of a model
    pixel, now to one side and now to the other, and by nothing on average.
    """
    space, shape, affine = scan_space(turn, voxel, depth)
    places = space.points_to_world(np.moveaxis(np.indices((64, 64, len(space.heights))), 0, -1))
    whole = space.to_model(np.ones(shape)) > 1 - 1e-6
    inside = ndimage.binary_erosion(whole, np.ones((1, 7, 7) if depth is None else (1, 7, 7, 7)))
    assert inside.sum() > 1000
    for axis in range(3):
        found = space.to_model(world_of(affine, shape)[..., axis].astype(np.float32))
        wanted = np.moveaxis(places[..., axis], -1, 0) if depth is None else places[None, ..., axis]
        apart = (found - wanted)[inside] / space.pixel_mm
        assert np.abs(apart).max() < 0.03 and abs(apart.mean()) < 5e-4


@pytest.mark.parametrize("turn, voxel, depth", CASES)
def test_points_go_both_ways(turn, voxel, depth):
    space, shape, affine = scan_space(turn, voxel, depth)
    points = np.random.default_rng(0).uniform(-60, 60, (50, 3))
    assert space.points_to_world(space.points_to_model(points)) == pytest.approx(points, abs=1e-9)
    # The window begins half a millimetre before the voxel that its first point is sampled at.
    corner = affine[:3, :3] @ [*space.start, space.heights[0]] + affine[:3, 3] - 0.5 * space.directions[:, :2].sum(1)
    assert space.points_to_model(corner)[:2] == pytest.approx([-0.5, -0.5], abs=1e-9)
    pixel = np.linalg.norm(space.affine[:3, :3], axis=0)
    assert pixel[:2] == pytest.approx(140 / 64) and (depth is None or pixel[2] == pytest.approx(140 / 64))


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "turn, depth",
    [
        *(("tilted", None), ("turned", 48)),
        *(pytest.param(turn, depth, marks=pytest.mark.slow) for turn, depth in (("turned", None), ("tilted", 48))),
        *(pytest.param("straight", depth, marks=pytest.mark.slow) for depth in (None, 48)),
    ],
)
def test_a_displacement_in_mm_goes_to_the_model_and_back(turn, depth):
    """u(r) = A r in world mm, turned to the model's axes and sampled there; at a native voxel it is A r again."""
    space, shape, affine = scan_space(turn, "fine", depth)
    linear = np.random.default_rng(1).normal(0, 0.05, (3, 3))
    places = space.points_to_world(np.moveaxis(np.indices((64, 64, len(space.heights))), 0, -1))
    model = space.vectors_to_model(np.moveaxis(places @ linear.T, -1, 0))
    assert np.linalg.norm(model, axis=0) == pytest.approx(np.linalg.norm(places @ linear.T, axis=-1), rel=1e-5)
    rows = np.moveaxis(model, -1, 1) if depth is None else model[:, None]
    native = space.vectors_to_world(np.stack([space.to_native(part, shape) for part in rows]))
    inside = space.to_native(np.ones_like(rows[0]), shape) > 1 - 1e-6
    wanted = np.moveaxis(world_of(affine, shape) @ linear.T, -1, 0)
    assert np.abs(native - wanted)[:, inside].max() < 1e-4
    # A vector along the scan's first axis is that axis' direction in the world.
    assert space.vectors_to_world(np.array([2.0, 0, 0])) == pytest.approx(2 * affine[:3, 0] / 0.8)


def test_slices_and_volume_agree_in_the_plane():
    """Model planes at the scan's own slices are the 2-D space's, whatever lies between them."""
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.random((90, 90, 30)), 2).astype(np.float32)
    brain = np.ones(volume.shape, bool)
    slices = space_of(brain, (2.0, 2.0, 233 / 128))
    block = space_of(brain, (2.0, 2.0, 233 / 128), depth=30)
    assert np.allclose(block.heights, np.arange(30)) and np.allclose(block.affine, slices.affine)
    assert np.allclose(np.moveaxis(block.to_model(volume)[0], -1, 0), slices.to_model(volume), atol=1e-6)
    model = slices.to_model(volume)
    assert np.allclose(
        block.to_native(np.moveaxis(model, 0, -1)[None], volume.shape), slices.to_native(model, volume.shape), atol=1e-5
    )


@pytest.mark.parametrize("depth", [None, 48])
def test_only_the_slices_that_a_change_reaches_are_written(depth):
    space, shape, _ = scan_space("straight", "fine", depth)
    model = np.zeros((space.rows, *space.shape), np.float32)
    space.planes(model)[20, 30, 30] = 1
    native = space.to_native(model, shape)
    assert native.any() and np.flatnonzero(native.any(axis=(0, 1))).tolist() == space.reached(model, shape[2])


def test_an_unknown_kind():
    with pytest.raises(ValueError, match="kind must be intensity, .* got 'scan'"):
        space_of(np.ones((9, 9, 2), bool)).to_model(np.zeros((9, 9, 2)), "scan")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.space.geometry import ModelGrid


def blob(shape, centre, spacing, width=25.0):
    """A smooth bump in mm, so that any sampling of it can be compared with the formula."""
    x, y = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing)), indexing="ij")
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2)).astype(np.float32)


def test_atlas_grid_is_the_thesis_geometry():
    """On 197x233 at 1 mm the window is the slice zero-padded to a square, voxel for voxel."""
    brain = np.zeros((197, 233), dtype=bool)
    brain[20:177, 20:213] = True  # centred in the field of view
    plane = np.random.default_rng(0).random((197, 233)).astype(np.float32)
    grid = ModelGrid.around_brain(brain, (1.0, 1.0))
    window = grid.to_millimetres(plane)
    assert window.shape == (233, 233)
    assert np.array_equal(window[18:215], plane)
    assert (window[:18] == 0).all() and (window[215:] == 0).all()
    assert grid.pixel_mm == pytest.approx(1.82, abs=0.001)


def test_brats_grid_is_a_central_crop():
    brain = np.zeros((240, 240), dtype=bool)
    brain[50:190, 40:200] = True
    plane = np.random.default_rng(0).random((240, 240)).astype(np.float32)
    grid = ModelGrid.around_brain(brain, (1.0, 1.0), window=200)
    assert np.array_equal(grid.to_millimetres(plane), plane[20:220, 20:220])
    assert grid.pixel_mm == pytest.approx(1.5625)


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.8, 1.1), (2.0, 2.0)])
def test_same_picture_whatever_the_voxel_size(spacing):
    reference_brain = np.ones((160, 200), dtype=bool)
    reference = ModelGrid.around_brain(reference_brain, (1.0, 1.0))
    wanted = reference.to_model(reference.to_millimetres(blob((160, 200), (70, 110), (1, 1))))
    shape = tuple(int(round(n / s)) for n, s in zip((160, 200), spacing))
    grid = ModelGrid.around_brain(np.ones(shape, dtype=bool), spacing)
    found = grid.to_model(grid.to_millimetres(blob(shape, (70, 110), spacing)))
    shifts = [abs(a - b) for a, b in zip(ndimage.center_of_mass(found**4), ndimage.center_of_mass(wanted**4))]
    assert max(shifts) < 1.2 * max(spacing) / 1.82  # the window starts on a whole voxel
    aligned = ndimage.shift(found, np.subtract(ndimage.center_of_mass(wanted**4), ndimage.center_of_mass(found**4)))
    assert np.abs(aligned - wanted)[20:-20, 20:-20].max() < 0.05


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.2), (2.0, 2.0)])
def test_native_positions_of_model_pixels(spacing):
    """A model image that holds each pixel's own world coordinate must read the voxel's world coordinate back."""
    shape = (int(180 / spacing[0]), int(210 / spacing[1]))
    grid = ModelGrid.around_brain(np.ones(shape, dtype=bool), spacing)
    affine = np.array([[spacing[0], 0, 0, -90.0], [0, spacing[1], 0, -105.0], [0, 0, 3.0, 7.0], [0, 0, 0, 1]])
    model = grid.model_affine(affine, 4)
    index = np.arange(grid.size)
    for axis in range(2):
        world = model[axis, axis] * index + model[axis, 3]
        plane = np.broadcast_to(world[:, None] if axis == 0 else world[None], (128, 128))
        native = grid.to_native(plane, shape)
        wanted = affine[axis, axis] * np.arange(shape[axis]) + affine[axis, 3]
        line = native[:, shape[1] // 2] if axis == 0 else native[shape[0] // 2]
        assert np.allclose(line, wanted, atol=1e-3)
    assert model[2] @ [0, 0, 0, 1] == pytest.approx(4 * 3.0 + 7.0)


def test_resize_and_affine_agree():
    """A bump resized to the model grid sits where the affine says."""
    grid = ModelGrid.around_brain(np.ones((197, 233), dtype=bool), (1.0, 1.0))
    small = grid.to_model(grid.to_millimetres(blob((197, 233), (60, 150), (1, 1), width=8)))
    pixel = ndimage.center_of_mass(small**2)
    world = grid.model_affine(np.eye(4), 0) @ [*pixel, 0, 1]
    assert world[:2] == pytest.approx([60, 150], abs=0.05)


def test_tiny_lesions_survive():
    grid = ModelGrid(spacing=(1.0, 1.0), start=(0, 0))
    plane = np.zeros((233, 233), dtype=np.float32)
    plane[100, 100] = plane[50:53, 180:182] = 1
    plane[150:170, 150:170] = 1
    mask = grid.mask_to_model(plane)
    _, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert count == 3
    assert mask.sum() == pytest.approx(400 / grid.pixel_mm**2, rel=0.1)


@pytest.mark.parametrize("window", [200, 233])
def test_model_space_is_taken_as_it_is(window):
    """Slices of simulated and prepared cohorts pass unchanged, wherever in them the brain lies."""
    rng, pixel = np.random.default_rng(0), window / 128
    plane = rng.uniform(0, 1, (128, 128)).astype(np.float32)
    brain = np.zeros((128, 128, 1), bool)
    brain[5:90, 30:120] = True
    grid = ModelGrid.around_brain(brain, (pixel, pixel), window)
    assert grid.is_model_space and grid.pixel_mm == pytest.approx(pixel)
    assert np.array_equal(grid.to_model(grid.to_millimetres(plane)), plane)
    assert np.array_equal(grid.to_native(plane, (128, 128)), plane)
    lone = np.zeros((128, 128), np.float32)
    lone[40, 41] = 1
    assert np.array_equal(grid.mask_to_model(grid.to_millimetres(lone)), lone > 0)
    affine = np.diag([pixel, pixel, 1, 1])
    assert np.allclose(grid.model_affine(affine, 0), affine)
    assert not ModelGrid.around_brain(brain, (pixel * 1.01, pixel), window).is_model_space
    assert not ModelGrid.around_brain(brain[:-1], (pixel, pixel), window).is_model_space

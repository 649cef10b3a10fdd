# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The grid that is painted on: where its points lie, what comes back, for voxels from 0.3 to 5 mm."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.model_space import ModelSpace

VOXELS = [
    (1, 1, 1),
    (0.5, 0.5, 0.5),
    (0.3, 0.3, 0.6),
    (1, 1, 5),
    (2, 2, 2),
    (3, 3, 3),
    (0.9, 0.9, 1.2),
    (1, 1.005, 0.99),
]


def scan_of(voxel: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxel size, a lesion of about 16 mm at a place off the middle, and 2x - y + 3z + 7 in mm."""
    size = np.array(voxel, float)
    shape = tuple((np.array([72, 80, 70]) / size).astype(int))
    lesion = np.zeros(shape, bool)
    middle, half = np.array(shape) // 2 + 1, np.maximum(1, 8 / size).astype(int)
    lesion[tuple(slice(m - h, m + h + 1) for m, h in zip(middle, half))] = True
    x, y, z = (np.arange(n) * s for n, s in zip(shape, size))
    return size, lesion, (2 * x[:, None, None] - y[:, None] + 3 * z + 7).astype(np.float32)


def native(box: FineBox, fine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([box.to_native_slice(fine[None], z, shape[:2]) for z in range(shape[2])], axis=-1)


@pytest.mark.parametrize("voxel", VOXELS)
def test_sides_and_places(voxel):
    size, lesion, _ = scan_of(voxel)
    box = FineBox.around(lesion, size, margin_mm=10, smallest=24, multiple=8)
    assert box.pixel_mm == pytest.approx(np.clip(min(voxel), 1, 2), rel=0.02)
    assert all(side >= 24 and side % 8 == 0 for side in box.shape)
    points = np.array(box.step) * size  # mm between points
    assert points == pytest.approx(np.full(3, box.pixel_mm), rel=0.02)
    low = np.array(box.start) * size
    high = (np.array(box.start) + np.array(box.step) * (np.array(box.shape) - 1)) * size
    ends = np.argwhere(lesion)
    assert (low <= ends.min(axis=0) * size - 10 + box.pixel_mm).all()
    assert (high >= ends.max(axis=0) * size + 10 - box.pixel_mm).all()


@pytest.mark.parametrize("voxel", VOXELS)
def test_a_linear_image_comes_back(voxel):
    size, lesion, image = scan_of(voxel)
    box = FineBox.around(lesion, size, 10, 24, 8)
    found = native(box, box.to_fine(image), image.shape)
    # a triangle over points of which it holds no whole number ripples a bit
    slope = 0.6 if voxel in ((0.9, 0.9, 1.2), (0.3, 0.3, 0.6)) else 0.02
    assert np.abs(found - image)[lesion].max() < slope


def test_where_voxels_are_points_nothing_is_interpolated():
    size, lesion, _ = scan_of((1, 1, 1))
    box = FineBox.around(lesion, size, 10, 24, 8)
    noise = np.random.default_rng(0).normal(size=lesion.shape).astype(np.float32)
    inside = tuple(slice(s.start, s.start + n) for s, n in zip(box.voxels, box.shape))
    assert np.array_equal(box.to_fine(noise), noise[inside]) and box.step == (1, 1, 1)
    assert np.array_equal(native(box, box.to_fine(noise), noise.shape)[inside], noise[inside])
    assert np.array_equal(box.mask(lesion), lesion[inside])


@pytest.mark.parametrize("voxel", VOXELS)
def test_masks_keep_their_volume_and_single_voxels_stay(voxel):
    size, lesion, _ = scan_of(voxel)
    box = FineBox.around(lesion, size, 10, 24, 8)
    volume = box.mask(lesion).sum() * box.pixel_mm**3
    assert volume == pytest.approx(lesion.sum() * size.prod(), rel=0.25)
    speck = np.zeros_like(lesion)
    speck[tuple(np.argwhere(lesion)[0])] = True
    assert box.mask(speck).sum() >= 1


def test_labels_go_to_the_one_that_covers_most():
    size, lesion, _ = scan_of((0.5, 0.5, 0.5))
    labels = np.where(lesion, np.where(np.arange(lesion.shape[2]) < lesion.shape[2] // 2 + 1, 1, 3), 0).astype(np.uint8)
    box = FineBox.around(lesion, size, 10, 24, 8)
    found = box.labels(labels) * box.mask(lesion)
    assert set(np.unique(found)) == {0, 1, 3}
    assert (found == 3).sum() / (found > 0).sum() == pytest.approx((labels == 3).sum() / lesion.sum(), abs=0.08)


def test_a_box_may_reach_beyond_the_scan():
    lesion = np.zeros((30, 30, 12), bool)
    lesion[:4, 20:, 5] = True
    box = FineBox.around(lesion, np.ones(3), 14, 48, 8)
    fine = box.to_fine(np.ones(lesion.shape))
    assert fine.shape == box.shape and fine.sum() == pytest.approx(
        np.prod([min(n, s.stop) - max(0, s.start) for s, n in zip(box.voxels, lesion.shape)])
    )
    assert box.reached(box.mask(lesion)[None], 12) == [5]
    assert np.array_equal(native(box, box.mask(lesion), lesion.shape) > 0, lesion)


def test_a_change_is_averaged_to_the_model():
    """A box of 1 over 24 mm of a 1 mm head keeps its sum on the model's grid, and its place."""
    brain = np.zeros((160, 190, 150), bool)
    brain[10:150, 10:180, 10:140] = True
    space = ModelSpace.around_brain(brain, np.eye(4), depth=112)
    lesion = np.zeros_like(brain)
    lesion[60:84, 80:104, 70:94] = True
    box = FineBox.around(lesion, np.ones(3), 14, 48, 8)
    (model,) = box.to_model(box.mask(lesion).astype(np.float32), space)
    assert model.sum() * space.pixel_mm**3 == pytest.approx(lesion.sum(), rel=0.005)
    assert model.max() == pytest.approx(1, abs=0.02)
    (whole,) = space.to_model(lesion, "coverage")
    assert np.abs(model - whole).max() < 0.3 and np.abs(model - whole).mean() < 1e-4
    points = np.tensordot(model, np.moveaxis(np.indices(model.shape), 0, -1), 3) / model.sum()
    assert space.points_to_world(points) == pytest.approx([71.5, 91.5, 81.5], abs=0.1)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Texture of moved tissue: copied as it is 1, interpolated linearly what the interpolation's own formula says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.metrics import moved_texture

RNG = np.random.default_rng(0)


def scan(dims: int) -> np.ndarray:
    """White noise whose strength rises along the first axis: a copy has to be held against its source."""
    strength = np.linspace(1, 3, 64).reshape(-1, *[1] * (dims - 1))
    return 100 + strength * RNG.standard_normal((64,) * dims)


def shifted(dims: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    field = np.zeros((dims, *(64,) * dims))
    field[0] = step
    moved = np.zeros((64,) * dims)
    moved[(slice(12, 50),) * dims] = 1
    return field, moved


@pytest.mark.parametrize("dims", [2, 3])
def test_a_whole_shift_keeps_the_texture_of_the_source(dims):
    image, (field, moved) = scan(dims), shifted(dims, 5.0)
    edited = np.roll(image, -5, axis=0)
    brain = np.ones(image.shape)
    assert moved_texture(edited, image, field, moved, brain) == pytest.approx(1, abs=1e-3)
    assert moved_texture(image, image, field, moved, brain) < 0.95  # the texture of here, not of where it is from
    assert moved_texture(edited, image, 0 * field, 0 * moved, brain) != moved_texture(
        edited, image, field, moved, brain
    )
    assert np.isnan(moved_texture(edited, image, field, 0 * moved, brain))


def test_half_a_voxel_of_linear_interpolation_loses_what_it_must():
    """Of white noise, a mean of two neighbours keeps half of the power; what a residual sees of both is known."""
    image, (field, moved) = scan(2), shifted(2, 0.5)
    edited = ndimage.shift(image, (-0.5, 0), order=1, mode="nearest")
    kernel = ndimage.gaussian_filter(np.eye(1, 33 * 33, 33 * 16 + 16).reshape(33, 33), 1.0)
    residual = np.eye(1, 33 * 33, 33 * 16 + 16).reshape(33, 33) - kernel
    halved = (residual + np.roll(residual, 1, axis=0)) / 2
    wanted = np.sqrt((halved**2).sum() / (residual**2).sum())
    assert moved_texture(edited, image, field, moved, np.ones(image.shape)) == pytest.approx(wanted, rel=0.05)
    assert wanted < 0.75


def test_the_edge_of_the_brain_and_other_shapes():
    image, (field, moved) = scan(2), shifted(2, 0.0)
    brain = np.zeros((64, 64))
    brain[:30] = 1
    edited = image.copy()
    edited[30:] += 50 * RNG.standard_normal((34, 64))  # outside of the brain nothing counts, nor leaks in
    assert moved_texture(edited, image, field, moved, brain) == pytest.approx(1, abs=1e-6)
    edited[20, 30] += 500
    assert moved_texture(edited, image, field, moved, brain) > 2
    with pytest.raises(ValueError, match="the displacement has shape"):
        moved_texture(image, image, field[:1], moved, brain)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Random fields: over which length they vary, what they are scaled to, and where a fading one ends."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.fields import grain, smooth_noise, smoothstep, taper, vector_noise


def test_taper_cuts_small_velocities_without_a_step():
    velocity = np.stack([np.linspace(0, 1, 1001), np.zeros(1001)]).reshape(2, 1001, 1)
    tapered = taper(velocity, np.ones((1001, 1)), floor=0.04)[0, :, 0]
    assert not tapered[:40].any() and tapered[200:] == pytest.approx(velocity[0, 200:, 0])
    assert np.diff(tapered).max() < 0.01


@pytest.mark.parametrize("shape, length", [((120, 130), 20.0), ((120, 130), 1.0), ((40, 42, 44), 9.0)])
def test_smooth_noise_varies_over_its_length(shape, length):
    field = smooth_noise(shape, length, np.random.default_rng(0))
    assert field.shape == shape and field.dtype == np.float32 and 0.4 < field.std() < 1.6
    roughness = np.abs(np.diff(field, axis=0)).mean() * length
    assert 0.25 < roughness < 1.6


def test_vectors_have_their_peak_and_grain_its_spread():
    rng = np.random.default_rng(3)
    field = vector_noise(3, (30, 34), 6.0, 2.5, rng)
    assert field.shape == (3, 30, 34) and np.abs(field).max() == pytest.approx(2.5)
    for sigma in (0.0, 1.5):
        assert grain((90, 91), sigma, rng).std() == pytest.approx(1, abs=0.02)
    assert smoothstep(np.array([-1, 0, 0.25, 0.5, 1, 7])).tolist() == [0, 0, 0.15625, 0.5, 1, 1]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Noise of a known strength is found again, beside anatomy and in small masks, and filled up."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.scanner_noise import FEWEST, missing_noise, noise_level

RNG = np.random.default_rng(0)
RAMP = np.linspace(0, 40, 64)[:, None] + np.zeros((64, 64))
EVERYWHERE = np.ones((64, 64), bool)


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_white_noise_is_measured_on_slopes_and_beside_edges(sigma):
    anatomy = RAMP + 100 * ((np.arange(64)[:, None] // 16 + np.arange(64) // 16) % 2)  # a chessboard: edges everywhere
    for clean in (np.zeros((64, 64)), RAMP, anatomy):
        planes = [clean + RNG.normal(0, sigma, clean.shape) for _ in range(6)]
        assert noise_level(planes, [EVERYWHERE] * 6) == pytest.approx(sigma, rel=0.08)


def test_only_what_counts_is_looked_at():
    plane = np.where(np.arange(64) < 32, 0.0, 1.0) * RNG.normal(0, 2, (64, 64))
    quiet, noisy = EVERYWHERE & (np.arange(64) < 30), EVERYWHERE & (np.arange(64) > 34)
    assert noise_level([plane], [quiet]) == 0
    assert noise_level([plane], [noisy]) == pytest.approx(2, rel=0.2)


def test_too_few_pixels_say_nothing():
    mask = np.zeros((64, 64), bool)
    mask[:9, :9] = True  # 49 are left without the outermost
    assert FEWEST > 49 and np.isnan(noise_level([RAMP], [mask])) and np.isnan(noise_level([], []))


def test_what_is_missing_adds_up_in_squares():
    assert missing_noise(5.0, 3.0) == pytest.approx(4.0)
    assert missing_noise(3.0, 5.0) == 0.0
    assert missing_noise(float("nan"), 1.0) == missing_noise(1.0, float("nan")) == 0.0

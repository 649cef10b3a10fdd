# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The linear guess of a clean image is the regression on the noisy one."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.sampling.formulas import linear_guess


@pytest.mark.parametrize("deviation", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("alpha_bar", [0.99, 0.6, 0.1])
def test_no_other_factor_comes_nearer(alpha_bar, deviation):
    rng = np.random.default_rng(0)
    x0, noise = deviation * rng.standard_normal(400_000), rng.standard_normal(400_000)
    x_t = np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * noise
    assert linear_guess(alpha_bar, deviation) == pytest.approx(x0 @ x_t / (x_t @ x_t), abs=0.004 * max(1, deviation))


def test_its_ends():
    assert linear_guess(1, 0.5) == 1 and linear_guess(0, 0.5) == 0
    assert linear_guess(0.5, 1) == pytest.approx(np.sqrt(0.5))  # c_skip of a v-prediction

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Noise levels of a training."""

import numpy as np
import pytest
from monai.networks.schedulers import DDPMScheduler
from scipy import stats

from mededit_monai.training.drawn import LAMBDA_MEAN, LAMBDA_SD, DrawnLevels

SCHEDULER = DDPMScheduler(num_train_timesteps=1000, schedule="linear_beta", beta_start=1e-4, beta_end=0.02)
ALPHA_BAR = SCHEDULER.alphas_cumprod.double().numpy()
LAMBDA = 0.5 * np.log(ALPHA_BAR / (1 - ALPHA_BAR))


@pytest.mark.parametrize("dims", [2, 3])
def test_levels_are_normal_in_log_snr_with_a_share_at_the_top(dims):
    levels = DrawnLevels(SCHEDULER, top_share=0.25, spatial_dims=dims)
    assert levels.level(0.0) == 0 and levels.level(0.75) == levels.level(0.999) == 999
    for quantile in (0.1, 0.5, 0.9):
        wanted = stats.norm(LAMBDA_MEAN[dims], LAMBDA_SD).isf(quantile)
        assert LAMBDA[levels.level(0.75 * quantile)] == pytest.approx(wanted, abs=0.02)


def test_draws_follow_the_law():
    found, _ = DrawnLevels(SCHEDULER, top_share=0.1).draw(list(range(4000)), ["mask"], None)
    found = found.numpy()
    assert (found == 999).mean() == pytest.approx(0.1, abs=0.015)
    below = LAMBDA[found[found < 999]]
    assert below.mean() == pytest.approx(LAMBDA_MEAN[2], abs=0.1) and below.std() == pytest.approx(LAMBDA_SD, abs=0.1)


def test_a_validation_spreads_its_levels_evenly_over_the_law():
    levels = DrawnLevels(SCHEDULER, top_share=0.25)
    found, conditions = levels.draw(list(range(8)), ["mask", "box"], "box")
    assert found.tolist() == [levels.level((k + 0.5) / 8) for k in range(8)]
    assert found[-2:].tolist() == [999, 999] and conditions == ["box"] * 8

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Noise schedules against their closed forms, at the number of levels that the synthesis has."""

from __future__ import annotations

import math

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.sampling.levels import NOISE_SCHEDULES
from mededit_monai.sampling.schedules import BETAS, exponential_beta, noise_scheduler


def geometric_sum(first: float, ratio: float, count: int) -> float:
    return first * (ratio**count - 1) / (ratio - 1)


def test_exponential_betas_grow_by_one_factor():
    betas = exponential_beta(5, 1e-4, 1e-2).tolist()
    assert betas == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2], rel=1e-6)


@pytest.mark.parametrize("level", [0, 60, 249])
def test_the_exponential_s_alpha_bar(level):
    """ln ᾱ = -Σ β - Σ β² / 2 - …, each a geometric sum."""
    bar = noise_scheduler("exponential", 250, "epsilon").alphas_cumprod.double()[level]
    first, ratio = 4e-4, 600 ** (1 / 249)
    wanted = sum(geometric_sum(first**power, ratio**power, level + 1) / power for power in range(1, 25))
    assert -math.log(bar) == pytest.approx(wanted, rel=1e-4)


def test_the_linear_s_alpha_bar():
    """β from 4e-4 to 0.08: as far as 1000 levels from 1e-4 to 0.02."""
    found = noise_scheduler("linear", 250, "epsilon")
    betas = torch.tensor([4e-4 + (0.08 - 4e-4) * k / 249 for k in range(250)], dtype=torch.float64)
    assert torch.allclose(found.alphas_cumprod.double(), torch.cumprod(1 - betas, 0), rtol=1e-4)


def test_the_cosine_is_the_published_one():
    """cos²((t/T + s) / (1 + s) · π/2) with s = 0.008, beside the last level, where β is cut at 0.999."""
    found = noise_scheduler("cosine", 250, "epsilon").alphas_cumprod.double()
    shape = [math.cos((k / 250 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(250)]
    assert found[:-1].tolist() == pytest.approx([one / shape[0] for one in shape[1:]], rel=1e-3)


@pytest.mark.parametrize("schedule", NOISE_SCHEDULES)
def test_all_end_in_noise_whatever_the_number_of_levels(schedule):
    """Less than a hundredth of the signal is left at the last level, with 250 and with 1000 levels."""
    for levels in (250, 1000):
        bars = noise_scheduler(schedule, levels, "epsilon").alphas_cumprod
        assert bars[-1].sqrt() < 0.01 and bars[0] > 0.998 and (bars.diff() < 0).all()
    if schedule in BETAS:
        halves = [noise_scheduler(schedule, levels, "epsilon").alphas_cumprod for levels in (250, 1000)]
        assert float(halves[0][124]) == pytest.approx(float(halves[1][499]), rel=0.03)


def test_refusals():
    with pytest.raises(
        InputError, match="--noise_schedule: got 'cosin', wanted one of cosine, linear, exponential; did"
    ):
        noise_scheduler("cosin", 250, "epsilon")
    with pytest.raises(InputError, match="got 'exponential' with 60 noise levels, wanted more than 60"):
        noise_scheduler("exponential", 60, "epsilon")
    assert noise_scheduler("exponential", 61, "sample").prediction_type == "sample"

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Noise levels, seeds and steps, between the ends at which mistakes cancel."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from gaussian import ALPHA_BAR, ddpm_step, scheduler

from mededit_monai.sampling.denoise import denoise
from mededit_monai.sampling.formulas import clean_estimate, forward_noise, step_coefficients
from mededit_monai.sampling.levels import noise_levels, visits
from mededit_monai.sampling.noise import CaseNoise, case_seed
from mededit_monai.sampling.sampler import SAMPLERS
from mededit_monai.space.conditions import condition_channels, fused_channels


@pytest.mark.parametrize(
    "start, left", [(1.0, (0, 250, 500, 749, 999)), (0.501, (0, 250, 500)), (0.5, (0, 250)), (0.25, (0,))]
)
def test_a_level_at_the_start_is_left_out(start, left):
    """Five levels of 1000; those at or above start · T go, and the others keep their places."""
    assert noise_levels(scheduler(), 5, "t", start).timesteps == left


def test_the_lowest_level_that_is_resampled_is_the_one_that_was_asked_for():
    assert visits(4, resample=2, lowest=1) == [(3, 2), (2, 3), (3, 2), (2, 1), (1, 2), (2, 1), (1, 0), (0, -1)]
    assert visits(3, resample=2, lowest=0)[-3:] == [(0, 1), (1, 0), (0, -1)]


def test_a_case_has_noise_of_its_own_by_seed_name_and_sample():
    seeds = {case_seed(s, name, k) for s in (0, 1) for name in ("a", "b") for k in (0, 1)}
    assert len(seeds) == 8 and all(0 <= seed < 2**63 for seed in seeds)
    assert case_seed(1, "a") == case_seed(1, "a", 0)


def test_noise_follows_its_seed_and_not_its_place():
    like = torch.zeros(3, 1, 4, 4)
    draw, other = CaseNoise([5, 6, 5], like), CaseNoise([6, 7], like[:2])
    first, second = draw(), draw()
    assert torch.equal(first[0], first[2]) and not torch.equal(first[0], first[1])
    assert not torch.equal(first, second) and torch.equal(other()[0], first[1])


@pytest.mark.parametrize("eta", [0.0, 0.25, 0.5, 1.0])
def test_a_share_of_the_noise_is_a_share_of_its_standard_deviation(eta):
    """DDIM (Song et al. 2021, eq. 16): σ = η √β̃; what is left of 1 - ᾱ_s stays with the estimated noise."""
    levels = noise_levels(scheduler(), 10, "t")
    a_t, a_s = ALPHA_BAR[levels.timesteps[6]], ALPHA_BAR[levels.timesteps[5]]
    on_clean, on_noisy, sigma = step_coefficients(levels, 6, 5, eta)
    assert sigma == pytest.approx(eta * sqrt(ddpm_step(a_t, a_s)[2]), rel=1e-6)
    # a clean image of 1 with noise of 1 at level t keeps both parts' sizes at level s
    x_t = sqrt(a_t) + sqrt(1 - a_t)
    assert on_clean + on_noisy * x_t == pytest.approx(sqrt(a_s) + sqrt(1 - a_s - sigma**2), rel=1e-6)


@pytest.mark.parametrize("alpha_bar", [0.9, 0.5, 0.04])
def test_the_clean_image_comes_out_of_every_parametrisation(alpha_bar):
    """x_t = √ᾱ x0 + √(1-ᾱ) ε; a network that knows x0 = 0.3 and ε = -0.7 says so in three ways."""
    x0, noise = torch.tensor([0.3]), torch.tensor([-0.7])
    root, rest = sqrt(alpha_bar), sqrt(1 - alpha_bar)
    x_t = forward_noise(x0, alpha_bar, noise)
    assert float(x_t) == pytest.approx(0.3 * root - 0.7 * rest)
    for kind, output in (("epsilon", noise), ("sample", x0), ("v_prediction", root * noise - rest * x0)):
        assert float(clean_estimate(output, x_t, alpha_bar, kind)) == pytest.approx(0.3, abs=1e-5)
    with pytest.raises(ValueError, match="'velocity' is none of"):
        clean_estimate(noise, x_t, alpha_bar, "velocity")


def test_levels_even_in_log_snr():
    """λ = ½ ln(ᾱ/(1-ᾱ)) from the first timestep to the last; three levels: both ends and the one half-way in λ."""
    lam = [0.5 * torch.log(torch.tensor(a / (1 - a))).item() for a in ALPHA_BAR]
    first, middle, last = noise_levels(scheduler(), 3, "logsnr").timesteps
    assert (first, last) == (0, 999)
    wanted = (lam[0] + lam[-1]) / 2
    assert all(abs(lam[middle] - wanted) <= abs(lam[t] - wanted) for t in (middle - 1, middle + 1))


@pytest.mark.parametrize("start", [0.0, -0.1, 1.001, 2.0])
def test_a_start_outside_of_the_range_is_refused(start):
    with pytest.raises(ValueError, match=r"start must lie in \(0, 1\]"):
        noise_levels(scheduler(), 10, "t", start)


@pytest.mark.parametrize("faulty", ["levels", "resample", "jump"])
def test_moves_say_which_number_is_wrong(faulty):
    with pytest.raises(ValueError, match=f"^{faulty} must be at least 1, got 0"):
        visits(**{"levels": 4, "resample": 2, "jump": 1, faulty: 0})


def test_the_second_order_step_takes_the_step_before_into_account():
    """x̂0 that is linear in λ is followed exactly to first order in h': D = x̂0 + h/(2 h') (x̂0 - x̂0')."""
    levels = noise_levels(scheduler(), 12, "t")  # uneven in λ
    lam = [0.5 * torch.log(torch.tensor(a / (1 - a))).item() for a in levels.alphas_cumprod]
    sampler, x = SAMPLERS["dpm2m"](levels, lambda: torch.zeros(1)), torch.tensor([0.3])
    estimates = {9: torch.tensor([0.2]), 8: torch.tensor([0.5])}
    for t in (9, 8):
        before, x = x, sampler.step(lambda x, level: estimates[level], x, t, t - 1)
    ratio = (lam[7] - lam[8]) / (lam[8] - lam[9])
    wanted = 0.5 + ratio / 2 * (0.5 - 0.2)
    a_t, a_s = levels.alphas_cumprod[8], levels.alphas_cumprod[7]
    shrink = sqrt((1 - a_s) / (1 - a_t))
    assert float(x) == pytest.approx(shrink * float(before) + (sqrt(a_s) - shrink * sqrt(a_t)) * wanted, rel=1e-5)


def test_after_a_move_up_the_path_begins_anew():
    """The step after it is the one that a new sampler takes."""
    levels = noise_levels(scheduler(), 6, "t")
    estimates = iter([torch.tensor([0.9]), torch.tensor([-0.4])])
    climbed = torch.tensor([0.7])
    found = denoise(
        torch.tensor([0.1]),
        [(3, 2), (2, 3), (3, 2)],
        SAMPLERS["dpm2m"](levels, lambda: torch.zeros(1)),
        lambda x, level: next(estimates),
        climb=lambda x, origin, target: climbed,
    )
    alone = SAMPLERS["dpm2m"](levels, lambda: torch.zeros(1))
    assert torch.equal(found, alone.step(lambda x, level: torch.tensor([-0.4]), climbed, 3, 2))


def test_regions_have_a_place_each():
    """Labels 1 core, 2 edema, 3 rim, in this order; in a network that is told of everything, behind mask and boxes."""
    channels = condition_channels(torch.tensor([[[0, 1, 2, 3]]]), "regions")
    assert channels[:, 0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert fused_channels(channels[None], "regions")[0, :, 0].tolist() == [[0] * 4, [0] * 4, *channels[:, 0].tolist()]
    one = torch.ones(1, 1, 1, 1)
    assert fused_channels(one, "mask")[0, :, 0, 0].tolist() == [1, 0, 0, 0, 0]
    assert fused_channels(one, "box")[0, :, 0, 0].tolist() == [0, 1, 0, 0, 0]

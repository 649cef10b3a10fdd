# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Each sampler alone: one step against its paper's formula, for strides of any length."""

from __future__ import annotations

from math import exp, log, sqrt

import pytest
import torch
from gaussian import ALPHA_BAR, ddim_step, ddpm_step, scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.sampling.levels import noise_levels
from mededit_monai.sampling.sampler import SAMPLERS, Sampler

LEVELS = noise_levels(scheduler(), 10)
MOVES = [(9, 8), (9, 2), (5, 4), (1, 0), (0, -1), (4, -1)]
X, Z = (torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (1, 2))


def bar(level: int) -> float:
    """ᾱ of a level, from the scheduler itself."""
    return 1.0 if level < 0 else float(ALPHA_BAR[LEVELS.timesteps[level]])


class Clean:
    """x̂0 = tanh(x) + level/10; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[torch.Tensor, int]] = []

    def __call__(self, x_t: torch.Tensor, level: int) -> torch.Tensor:
        self.asked.append((x_t, level))
        return torch.tanh(x_t) + level / 10


class Noise:
    """Z, and how often it was drawn."""

    drawn = 0

    def __call__(self) -> torch.Tensor:
        self.drawn += 1
        return Z


def sampler(name: str, noise: Noise | None = None, **options) -> Sampler:
    return SAMPLERS[name](LEVELS, noise or Noise(), **options)


@pytest.mark.parametrize(("t", "s"), MOVES)
def test_ddpm_draws_from_the_posterior(t, s):
    clean, noise = Clean(), Noise()
    found = sampler("ddpm", noise).step(clean, X, t, s)
    on_clean, on_noisy, variance = ddpm_step(bar(t), bar(s))
    x0 = torch.tanh(X) + t / 10
    assert torch.allclose(found, on_clean * x0 + on_noisy * X + sqrt(variance) * Z, rtol=1e-10, atol=1e-12)
    assert len(clean.asked) == 1 and clean.asked[0][1] == t and torch.equal(clean.asked[0][0], X)
    assert noise.drawn == (s >= 0)  # nothing is drawn for the clean image


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "s"), MOVES)
def test_ddim_with_a_share_of_the_noise(t, s, eta):
    """Song et al. 2021, eq. 12 and 16."""
    clean, noise, x0 = Clean(), Noise(), torch.tanh(X) + t / 10
    found = sampler("ddim", noise, eta=eta).step(clean, X, t, s)
    sigma = eta * sqrt((1 - bar(s)) / (1 - bar(t))) * sqrt(1 - bar(t) / bar(s))
    epsilon = (X - sqrt(bar(t)) * x0) / sqrt(1 - bar(t))
    wanted = sqrt(bar(s)) * x0 + sqrt(max(0, 1 - bar(s) - sigma**2)) * epsilon + sigma * Z
    assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert len(clean.asked) == 1 and noise.drawn == (sigma > 0)


def test_ddim_refuses_other_shares():
    for eta in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"eta must lie in \[0, 1\], got {eta}"):
            sampler("ddim", eta=eta)


def first_order(x: torch.Tensor, x0: torch.Tensor, t: int, s: int) -> torch.Tensor:
    on_clean, on_noisy, _ = ddim_step(bar(t), bar(s))
    return on_clean * x0 + on_noisy * x


def half_log_snr(level: int) -> float:
    return 0.5 * log(bar(level) / (1 - bar(level)))


def test_dpm2m_looks_back_one_step():
    """Lu et al. 2022, algorithm 2: the first step and the last are first order, those between take two estimates."""
    solver, clean = sampler("dpm2m"), Clean()
    x_6 = solver.step(clean, X, 9, 6)
    before = torch.tanh(X) + 0.9
    assert torch.allclose(x_6, first_order(X, before, 9, 6), rtol=1e-10)
    x_2 = solver.step(clean, x_6, 6, 2)
    here = torch.tanh(x_6) + 0.6
    h, h_before = half_log_snr(2) - half_log_snr(6), half_log_snr(6) - half_log_snr(9)
    r = h_before / h
    direction = (1 + 1 / (2 * r)) * here - 1 / (2 * r) * before
    wanted = sqrt((1 - bar(2)) / (1 - bar(6))) * x_6 - sqrt(bar(2)) * (exp(-h) - 1) * direction
    assert torch.allclose(x_2, wanted, rtol=1e-9)
    assert torch.equal(solver.step(clean, x_2, 2, -1), torch.tanh(x_2) + 0.2)
    assert [level for _, level in clean.asked] == [9, 6, 2]


def test_dpm2m_forgets():
    solver, clean = sampler("dpm2m"), Clean()
    remembered = solver.step(clean, solver.step(clean, X, 9, 6), 6, 2)
    solver.forget()
    x_6 = solver.step(clean, X, 9, 6)
    assert torch.allclose(x_6, first_order(X, torch.tanh(X) + 0.9, 9, 6), rtol=1e-10)
    solver.forget()
    fresh = solver.step(clean, x_6, 6, 2)
    assert torch.allclose(fresh, first_order(x_6, torch.tanh(x_6) + 0.6, 6, 2), rtol=1e-10)
    assert not torch.allclose(fresh, remembered, rtol=1e-3)


@pytest.mark.parametrize("name", ["ddim", "dpm2m"])
def test_a_right_estimate_is_followed_exactly(name):
    """x_t = √ᾱ_t x0 + √(1-ᾱ_t) ε goes to √ᾱ_s x0 + √(1-ᾱ_s) ε in any stride, and ends at x0."""
    solver, x = sampler(name), sqrt(bar(9)) * X + sqrt(1 - bar(9)) * Z
    for t, s in ((9, 5), (5, 4), (4, 0), (0, -1)):
        x = solver.step(lambda x_t, level: X, x, t, s)
        assert torch.allclose(x, sqrt(bar(s)) * X + sqrt(max(0, 1 - bar(s))) * Z, rtol=1e-9, atol=1e-12)


def test_an_unknown_sampler():
    with pytest.raises(
        InputError, match="--sampler: got 'dpm2', wanted one of ddpm, ddim, dpm2m; did you mean 'dpm2m'"
    ):
        SAMPLERS["dpm2"]


def test_one_evaluation_a_step_and_what_each_takes():
    facts = {name: (kind.evaluations, kind.options) for name, kind in SAMPLERS.items()}
    assert facts == {"ddpm": (1, ()), "ddim": (1, ("eta",)), "dpm2m": (1, ())}

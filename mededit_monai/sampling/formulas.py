# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The formulas of one move between two noise levels, t (noisier) and s (cleaner), for any stride.

With a = ᾱ_t/ᾱ_s in place of α_t and 1 - a in place of β_t every formula of DDPM holds between levels that are not
neighbours. MONAI's ``DDPMScheduler.step`` uses ``timestep - 1`` instead of s and is wrong when strided.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING

from mededit_monai.sampling.levels import NoiseLevels

if TYPE_CHECKING:
    import torch

#: Draws a batch of standard normal noise.
Noise = Callable[[], "torch.Tensor"]


def clean_estimate(output: torch.Tensor, x_t: torch.Tensor, alpha_bar: float, prediction_type: str) -> torch.Tensor:
    """
    x̂0 from a network's output.

    ``epsilon``: (x_t - √(1-ᾱ) ε)/√ᾱ (Ho et al. 2020, eq. 15). ``sample``: the output.
    ``v_prediction``: √ᾱ x_t - √(1-ᾱ) v (Salimans & Ho 2022, appendix D).
    """
    if prediction_type == "epsilon":
        return (x_t - sqrt(1 - alpha_bar) * output) / sqrt(alpha_bar)
    if prediction_type == "sample":
        return output
    if prediction_type == "v_prediction":
        return sqrt(alpha_bar) * x_t - sqrt(1 - alpha_bar) * output
    raise ValueError(f"prediction_type {prediction_type!r} is none of 'epsilon', 'sample', 'v_prediction'.")


def linear_guess(alpha_bar: float, deviation: float) -> float:
    """
    The best linear guess of x0 from x_t, as a factor of x_t: √ᾱ σ² / (ᾱ σ² + 1 - ᾱ), for images of mean 0 and standard
    deviation σ (Wiener's filter; c_skip of Karras et al. 2022, table 1, for noise that keeps the variance). 1 without
    noise, 0 where nothing but noise is left.
    """
    variance = deviation**2
    return sqrt(alpha_bar) * variance / (alpha_bar * variance + 1 - alpha_bar)


def forward_noise(x_s: torch.Tensor, ratio: float, noise: torch.Tensor) -> torch.Tensor:
    """q(x_t | x_s) = √a x_s + √(1-a) z; with s clean this is q(x_t | x0), with s the level below it undoes a step."""
    return sqrt(ratio) * x_s + sqrt(1 - ratio) * noise


def step_coefficients(levels: NoiseLevels, t: int, s: int, eta: float) -> tuple[float, float, float]:
    """
    (A, B, σ) of x_s = A x̂0 + B x_t + σ z for DDIM with noise share η (Song et al. 2021, eq. 12 and 16).

    σ² = η² (1-ᾱ_s)/(1-ᾱ_t) (1-a), B = √((1-ᾱ_s-σ²)/(1-ᾱ_t)), A = √ᾱ_s - B √ᾱ_t, where ε is the one that belongs to
    the (clipped) x̂0. At η = 1 this is the DDPM posterior: A = √ᾱ_s (1-a)/(1-ᾱ_t), B = √a (1-ᾱ_s)/(1-ᾱ_t).
    """
    bar_t, bar_s = levels.alpha_bar(t), levels.alpha_bar(s)
    variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - levels.ratio(t, s))
    b = sqrt(max(0.0, 1 - bar_s - variance) / (1 - bar_t))
    return sqrt(bar_s) - b * sqrt(bar_t), b, sqrt(variance)


def posterior_step(
    levels: NoiseLevels, x_t: torch.Tensor, x0: torch.Tensor, t: int, s: int, eta: float, noise: Noise
) -> torch.Tensor:
    """x_s = A x̂0 + B x_t + σ z of :func:`step_coefficients`; noise is drawn only where σ > 0."""
    a, b, sigma = step_coefficients(levels, t, s, eta)
    x_s = a * x0 + b * x_t
    return x_s + sigma * noise() if sigma > 0 else x_s

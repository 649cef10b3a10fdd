# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Oracles: for x0 ~ N(0, Σ) the exact denoiser is linear, so mean and covariance go through any sampler in closed form.

Nothing here uses the package's formulas; the recursions are written out from the papers, level by level.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.networks.schedulers import DDPMScheduler


def scheduler(prediction_type: str = "epsilon") -> DDPMScheduler:
    return DDPMScheduler(
        num_train_timesteps=1000,
        schedule="linear_beta",
        beta_start=1e-4,
        beta_end=0.02,
        clip_sample=False,
        prediction_type=prediction_type,
    )


# The scheduler's own single-precision ᾱ: it decides ties between timesteps, and agrees with the product of 1-β to 1e-6.
ALPHA_BAR = scheduler().alphas_cumprod.double().numpy()
assert np.allclose(ALPHA_BAR, np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), rtol=1e-4, atol=0)


def ar1(dimension: int = 16, rho: float = 0.9, sd: float = 0.5) -> np.ndarray:
    """Covariance of an AR(1) process."""
    lag = np.abs(np.subtract.outer(np.arange(dimension), np.arange(dimension)))
    return sd**2 * rho**lag


def uniform(n: int) -> list[int]:
    """Ascending timesteps round(linspace(999, 0, n))."""
    return sorted({int(t) for t in np.round(np.linspace(999, 0, n))})


def log_snr(n: int) -> list[int]:
    """Ascending timesteps nearest to a linear grid in λ = ½ ln(ᾱ/(1-ᾱ))."""
    lam = 0.5 * np.log(ALPHA_BAR / (1 - ALPHA_BAR))
    return sorted({int(np.argmin(np.abs(lam - x))) for x in np.linspace(lam[999], lam[0], n)})


class ExactNetwork:
    """The optimal denoiser for rows ~ N(0, Σ) along the last axis of channel 0; other channels are the condition."""

    def __init__(self, covariance: np.ndarray, prediction_type: str = "epsilon") -> None:
        self.covariance, self.kind = np.atleast_2d(covariance), prediction_type

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        assert (timesteps == timesteps[0]).all()
        a = ALPHA_BAR[int(timesteps[0])]
        identity = np.eye(len(self.covariance))
        inverse = np.linalg.inv(a * self.covariance + (1 - a) * identity)
        matrix = {
            "epsilon": np.sqrt(1 - a) * inverse,
            "sample": np.sqrt(a) * self.covariance @ inverse,
            "v_prediction": np.sqrt(a * (1 - a)) * (identity - self.covariance) @ inverse,
        }[self.kind]
        x_t = x[:, :1]
        if len(matrix) == 1:
            return x_t * float(matrix[0, 0])
        return (x_t.double() @ torch.from_numpy(matrix).T).to(x.dtype)


def clean_matrix(covariance: np.ndarray, a: float) -> np.ndarray:
    """E[x0 | x_t] = √ᾱ Σ (ᾱ Σ + (1-ᾱ) I)^-1 x_t."""
    return np.sqrt(a) * covariance @ np.linalg.inv(a * covariance + (1 - a) * np.eye(len(covariance)))


def ddpm_step(a_t: float, a_s: float) -> tuple[float, float, float]:
    """Posterior coefficients (on x̂0, on x_t, variance) with the ratio a = ᾱ_t/ᾱ_s for α_t (Ho et al. eq. 7)."""
    a = a_t / a_s
    on_clean = np.sqrt(a_s) * (1 - a) / (1 - a_t)
    on_noisy = np.sqrt(a) * (1 - a_s) / (1 - a_t)
    return on_clean, on_noisy, (1 - a) * (1 - a_s) / (1 - a_t)


def ddim_step(a_t: float, a_s: float) -> tuple[float, float, float]:
    """DDIM, η = 0: √ᾱ_s x̂0 + √(1-ᾱ_s) (x_t - √ᾱ_t x̂0)/√(1-ᾱ_t)."""
    on_noisy = np.sqrt((1 - a_s) / (1 - a_t))
    return np.sqrt(a_s) - on_noisy * np.sqrt(a_t), on_noisy, 0.0


def propagated_sd(timesteps: list[int], sd: float, kind: str) -> float:
    """Standard deviation of a sampler's result for x0 ~ N(0, sd²), relative to sd."""
    path = [*sorted(timesteps, reverse=True), -1]
    gain, variance, clean_before, lambda_before = 1.0, 1.0, None, None
    if kind == "dpm2m":  # deterministic: follow x as a multiple of the start
        for t, s in zip(path[:-1], path[1:]):
            a_t = ALPHA_BAR[t]
            clean = gain * clean_matrix(np.array([[sd**2]]), a_t)[0, 0]
            if s < 0:
                return abs(clean) / sd
            a_s = ALPHA_BAR[s]
            lam_t, lam_s = (0.5 * np.log(a / (1 - a)) for a in (a_t, a_s))
            h = lam_s - lam_t
            direction = clean
            if clean_before is not None:
                r = (lam_t - lambda_before) / h
                direction = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * clean_before
            gain = np.sqrt((1 - a_s) / (1 - a_t)) * gain - np.sqrt(a_s) * (np.exp(-h) - 1) * direction
            clean_before, lambda_before = clean, lam_t
    step = {"ddpm": ddpm_step, "ddim": ddim_step}[kind]
    for t, s in zip(path[:-1], path[1:]):
        a_t, a_s = ALPHA_BAR[t], 1.0 if s < 0 else ALPHA_BAR[s]
        on_clean, on_noisy, extra = step(a_t, a_s)
        total = on_clean * clean_matrix(np.array([[sd**2]]), a_t)[0, 0] + on_noisy
        variance = total**2 * variance + extra
    return float(np.sqrt(variance) / sd)


def propagated_edit(
    covariance: np.ndarray, prior: np.ndarray, edit: np.ndarray, timesteps: list[int], resample: int, known: str = "s"
) -> tuple[np.ndarray, np.ndarray]:
    """
    Mean and covariance of the edited part after DDPM composition with U = ``resample``.

    ``known``: the level of the known part: "s", the one reached (right), or "t", the one left (the printed slip).
    """
    n = len(prior)
    mean, cov = np.zeros(n), np.eye(n)
    path = [*sorted(timesteps, reverse=True), -1]
    for t, s in zip(path[:-1], path[1:]):
        a_t, a_s = ALPHA_BAR[t], 1.0 if s < 0 else ALPHA_BAR[s]
        repeats = 1 if s < 0 else resample
        for u in range(repeats):
            on_clean, on_noisy, extra = ddpm_step(a_t, a_s)
            matrix = on_clean * clean_matrix(covariance, a_t) + on_noisy * np.eye(n)
            mean, cov = matrix @ mean, matrix @ cov @ matrix.T + extra * np.eye(n)
            a_k = a_s if known == "s" or s < 0 else a_t
            mean[~edit] = np.sqrt(a_k) * prior[~edit]
            cov[~edit, :], cov[:, ~edit] = 0, 0
            cov[~edit, ~edit] = 1 - a_k
            if u < repeats - 1:
                ratio = a_t / a_s
                mean, cov = np.sqrt(ratio) * mean, ratio * cov + (1 - ratio) * np.eye(n)
    return mean[edit], cov[np.ix_(edit, edit)]


def conditional(covariance: np.ndarray, prior: np.ndarray, edit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and covariance of the edited part given the rest."""
    gain = covariance[np.ix_(edit, ~edit)] @ np.linalg.inv(covariance[np.ix_(~edit, ~edit)])
    return gain @ prior[~edit], covariance[np.ix_(edit, edit)] - gain @ covariance[np.ix_(~edit, edit)]


class ConditionalNetwork:
    """
    The optimal denoiser for rows ~ N(0, Σ) of which it is shown the entries outside a hole, in channel ``scan``.

    Channel ``hole_at``, if given, must hold the hole; what ``scan`` holds inside the hole is not looked at.
    """

    def __init__(
        self, covariance: np.ndarray, hole: np.ndarray, scan: int, hole_at: int | None = None, kind: str = "epsilon"
    ) -> None:
        self.covariance, self.hole, self.scan, self.hole_at, self.kind = covariance, hole, scan, hole_at, kind

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        assert (timesteps == timesteps[0]).all()
        if self.hole_at is not None:
            assert ((x[:, self.hole_at] > 0) == torch.from_numpy(self.hole)).all()
        a, x_t, scan = ALPHA_BAR[int(timesteps[0])], x[:, 0].double().numpy(), x[:, self.scan].double().numpy()
        hole, clean = self.hole, scan.copy()
        gain = self.covariance[np.ix_(hole, ~hole)] @ np.linalg.inv(self.covariance[np.ix_(~hole, ~hole)])
        mean = scan[..., ~hole] @ gain.T
        spread = self.covariance[np.ix_(hole, hole)] - gain @ self.covariance[np.ix_(~hole, hole)]
        clean[..., hole] = mean + (x_t[..., hole] - np.sqrt(a) * mean) @ clean_matrix(spread, a).T
        answer = {
            "epsilon": (x_t - np.sqrt(a) * clean) / np.sqrt(1 - a),
            "sample": clean,
            "v_prediction": (np.sqrt(a) * x_t - clean) / np.sqrt(1 - a),
        }[self.kind]
        return torch.from_numpy(answer)[:, None].to(x.dtype)


def propagated_hole(
    mean: np.ndarray, covariance: np.ndarray, timesteps: list[int], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a sampler's result where the exact denoiser of N(mean, covariance) draws a hole."""
    n = len(mean)
    path = [*sorted(timesteps, reverse=True), -1]
    state = np.hstack([np.eye(n), np.zeros((n, 1))])  # x as an affine function of the start: [A | b]
    cov, before, lambda_before = np.eye(n), None, None
    for t, s in zip(path[:-1], path[1:]):
        a_t, a_s = ALPHA_BAR[t], 1.0 if s < 0 else ALPHA_BAR[s]
        matrix = clean_matrix(covariance, a_t)
        clean = matrix @ state
        clean[:, -1] += mean - np.sqrt(a_t) * matrix @ mean
        if kind == "dpm2m":
            if s < 0:
                return clean[:, -1], clean[:, :-1] @ clean[:, :-1].T
            lam_t, lam_s = (0.5 * np.log(a / (1 - a)) for a in (a_t, a_s))
            h, direction = lam_s - lam_t, clean
            if before is not None:
                r = (lam_t - lambda_before) / h
                direction = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * before
            state = np.sqrt((1 - a_s) / (1 - a_t)) * state - np.sqrt(a_s) * (np.exp(-h) - 1) * direction
            before, lambda_before = clean, lam_t
            continue
        on_clean, on_noisy, extra = {"ddpm": ddpm_step, "ddim": ddim_step}[kind](a_t, a_s)
        step = on_clean * matrix + on_noisy * np.eye(n)
        cov = step @ cov @ step.T + extra * np.eye(n)
        state = on_clean * clean + on_noisy * state
    return state[:, -1], cov

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which noise levels a sampler visits, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monai.networks.schedulers import Scheduler

SPACINGS = ("t", "logsnr")

#: How noise grows with t in trainings that may choose; see :func:`~mededit_monai.sampling.schedules.noise_scheduler`.
NOISE_SCHEDULES = ("cosine", "linear", "exponential")


@dataclass(frozen=True)
class NoiseLevels:
    """
    A subset of a scheduler's timesteps, ascending in noise. Index -1 stands for the clean image (ᾱ = 1).

    Args:
        timesteps: kept timesteps, ascending.
        alphas_cumprod: ᾱ at those timesteps.
    """

    timesteps: tuple[int, ...]
    alphas_cumprod: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.timesteps)

    def alpha_bar(self, level: int) -> float:
        """ᾱ of a level; 1 for level -1."""
        return 1.0 if level < 0 else self.alphas_cumprod[level]

    def ratio(self, noisier: int, cleaner: int) -> float:
        """
        a = ᾱ_t / ᾱ_s, which takes the place of α_t for strided levels (``mededit`` algorithm, ratio form).
        """
        return self.alpha_bar(noisier) / self.alpha_bar(cleaner)


def noise_levels(scheduler: Scheduler, steps: int, spacing: str = "t", start: float = 1.0) -> NoiseLevels:
    """
    Choose the levels of a sampling run.

    Args:
        scheduler: any MONAI scheduler with ``alphas_cumprod``.
        steps: levels over the whole range [0, T).
        spacing: ``t``: round(linspace(T-1, 0, steps)). ``logsnr``: the nearest timesteps to a linear grid of
            λ = ½ ln(ᾱ/(1-ᾱ)), duplicates removed, so that fewer than ``steps`` may remain (50 → 49).
        start: share of T to begin at; levels at or above ``start``·T are left out (their spacing is kept, so the run
            gets shorter).

    Raises:
        ValueError: on steps < 1 or > T, an unknown spacing, or a start outside (0, 1] or below the lowest level.
    """
    total = int(scheduler.num_train_timesteps)
    if not 1 <= steps <= total:
        raise ValueError(f"steps must lie between 1 and {total} (the scheduler's timesteps), got {steps}.")
    if spacing not in SPACINGS:
        raise ValueError(f"spacing must be one of {', '.join(SPACINGS)}, got {spacing!r}.")
    if not 0 < start <= 1:
        raise ValueError(f"start must lie in (0, 1], got {start}.")
    alpha_bar = scheduler.alphas_cumprod.double().cpu().numpy()
    if spacing == "t":
        kept = np.round(np.linspace(total - 1, 0, steps)).astype(int)
    else:
        log_snr = 0.5 * np.log(alpha_bar / (1 - alpha_bar))
        grid = np.linspace(log_snr[-1], log_snr[0], steps)
        kept = np.abs(grid[:, None] - log_snr[None, :]).argmin(axis=1)
    kept = np.unique(kept)
    kept = kept[kept < start * total]
    if kept.size == 0:
        raise ValueError(f"start = {start} leaves no noise level of {steps} steps; raise start or steps.")
    return NoiseLevels(tuple(int(t) for t in kept), tuple(float(alpha_bar[t]) for t in kept))


def visits(levels: int, resample: int = 1, jump: int = 1, lowest: int = 0) -> list[tuple[int, int]]:
    """
    The moves of resampled denoising, after RePaint (Lugmayr et al. 2022, appendix B): pairs (from, to) of level
    indices. A move down by one is one network evaluation; a move up adds noise again.

    Every ``jump`` levels, on arrival, the sampler goes back up ``jump`` levels, ``resample`` - 1 times. With jump = 1
    each level is denoised ``resample`` times except the last (no resampling at t = 0): NFE = (levels - 1)·U + 1.

    Args:
        lowest: on arrival below this level the sampler does not go back up.

    Raises:
        ValueError: if ``levels``, ``resample`` or ``jump`` is not positive.
    """
    for name, value in (("levels", levels), ("resample", resample), ("jump", jump)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    remaining = {level: resample - 1 for level in range(0, levels - jump, jump) if level >= lowest}
    moves, level = [], levels - 1
    while level >= 0:
        moves.append((level, level - 1))
        level -= 1
        if remaining.get(level, 0) > 0:
            remaining[level] -= 1
            moves.append((level, level + jump))
            level += jump
    return moves


def evaluations(moves: list[tuple[int, int]]) -> int:
    """Network evaluations (NFE) of a list of moves."""
    return sum(to < start for start, to in moves)

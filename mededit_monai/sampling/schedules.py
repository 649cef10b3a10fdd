# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Noise schedules by name, of any number of levels."""

from __future__ import annotations

import torch
from monai.networks.schedulers import DDPMScheduler, NoiseSchedules

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.sampling.levels import NOISE_SCHEDULES

#: First and last β of 1000 levels: those of Ho et al. 2020; of the exponential, the last with which it ends as noisy.
BETAS = {"linear": (1e-4, 0.02), "exponential": (1e-4, 0.06)}


@NoiseSchedules.add_def("exponential_beta", "Betas that grow by the same factor at every level")
def exponential_beta(num_train_timesteps: int, beta_start: float = 1e-4, beta_end: float = 6e-2) -> torch.Tensor:
    """
    β_t = start (end / start)^(t / (T - 1)): linear in its logarithm.

    Returns:
        β of each level, T values.
    """
    exponents = torch.linspace(0, 1, num_train_timesteps, dtype=torch.float64)
    return (beta_start * (beta_end / beta_start) ** exponents).float()


def noise_scheduler(schedule: str, num_train_timesteps: int, prediction_type: str) -> DDPMScheduler:
    """
    MONAI's scheduler with a noise schedule of this project.

    ``cosine``: Nichol & Dhariwal 2021, s = 0.008. ``linear`` and ``exponential``: β from the first to the last of
    ``BETAS``, times 1000 / T, so that ᾱ falls as far with T levels as with 1000.

    Args:
        schedule: ``cosine``, ``linear`` or ``exponential``.
        num_train_timesteps: T.
        prediction_type: ``epsilon``, ``v_prediction`` or ``sample``.

    Raises:
        InputError: unknown schedule, or so few levels that the last β would be 1 or more.

    Example:
        >>> noise_scheduler("linear", 250, "epsilon").betas[[0, -1]]
        tensor([0.0004, 0.0800])
    """
    require_choice("noise_schedule", schedule, NOISE_SCHEDULES)
    settings = {"num_train_timesteps": num_train_timesteps, "prediction_type": prediction_type}
    if schedule == "cosine":
        return DDPMScheduler(schedule="cosine", **settings)
    first, last = (beta * 1000 / num_train_timesteps for beta in BETAS[schedule])
    if last >= 1:
        raise InputError(
            f"--noise_schedule: got '{schedule}' with {num_train_timesteps} noise levels, wanted more than "
            f"{1000 * BETAS[schedule][1]:g} of them; raise --scheduler#num_train_timesteps."
        )
    return DDPMScheduler(schedule=f"{schedule}_beta", beta_start=first, beta_end=last, **settings)

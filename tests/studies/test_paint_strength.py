# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Contrast of painted lesions grows with the strength of the paint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from studies.paint_strength import measure

SCHEDULER = DDPMScheduler(schedule="linear_beta", beta_start=1e-4, beta_end=0.02, prediction_type="sample")


class Darker(torch.nn.Module):
    """Says that all of the lesion is darker by 0.1."""

    spatial_dims = 2

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x[:, :1], -0.4)  # half of it, in units of 0.5 of a range that is 2 wide


def cases(count: int = 20) -> list[dict]:
    rng, found = np.random.default_rng(0), []
    for k in range(count):
        brain, lesion = np.zeros((2, 64, 64), dtype=np.float32)
        brain[4:60, 4:60], lesion[20:30, 20 + k : 30 + k] = 1, 1
        prior = brain * rng.choice([0.2, 0.6, 0.8], size=brain.shape).astype(np.float32)
        image = np.where(lesion > 0, prior - 0.2, prior).astype(np.float32)
        planes = {"prior": prior, "moved": prior, "image": image, "prior_brain": brain, "pathology": lesion}
        found.append({**planes, "id": f"case{k}", "anatomy": f"anatomy{k % 5}"})
    return found


@pytest.mark.parametrize("strength", [0.0, 1.0, 1.5])
def test_a_change_of_half_the_size_has_half_the_contrast(strength):
    contrast, squares, trees = measure(cases(), Darker(), SCHEDULER, "mask", strength)
    assert contrast == pytest.approx(0.5 * strength, abs=1e-3)
    assert 0 <= squares <= 1 and 0 <= trees <= 1

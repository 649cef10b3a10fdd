# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Other libraries' loops on an exact denoiser: what they do to the spread of a Gaussian is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import ExactNetwork, scheduler

from mededit_monai.evaluation.baselines import DiffusersRePaintEditor, PlainLoopEditor

SD = 0.1
SHAPE = (1, 1, 128, 128)


def spread(editor) -> tuple[float, int]:
    """S.d. where everything is edited, and the evaluations that it took."""
    everything = torch.ones(SHAPE)
    edit = editor(torch.zeros(SHAPE), ExactNetwork(np.array([[SD**2]])), everything, everything, seeds=[1])
    return float(edit.image.std()), edit.evaluations


@pytest.mark.parametrize(
    ("kind", "steps", "wanted"),
    [("ddpm", 100, 0.64), ("ddpm", 50, 0.80), ("ddim", 100, 0.090)],  # the true one is 0.1
)
def test_what_monai_does_with_fewer_steps(kind, steps, wanted):
    found, evaluations = spread(PlainLoopEditor(scheduler(), steps, kind=kind))
    # the edits end clamped to [-1, 1], as x0 is: of a wide normal distribution that cuts the tails
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0)) * wanted
    assert found == pytest.approx(float(values.clamp(-1, 1).std()), rel=0.06) and evaluations == steps


def test_diffusers_without_jumps_is_ddim():
    found, evaluations = spread(DiffusersRePaintEditor(scheduler(), 100, jump=10, resample=1))
    assert found == pytest.approx(0.0883, rel=0.04) and evaluations == 100


def test_published_schedule_has_its_evaluations():
    moves = DiffusersRePaintEditor(scheduler()).schedule.timesteps
    down = 1 + int((moves[1:] < moves[:-1]).sum())
    assert down == 2410


@pytest.mark.parametrize(
    "editor",
    [
        PlainLoopEditor(scheduler("v_prediction"), 6, dilation=5),
        PlainLoopEditor(scheduler(), 6, dilation=5, kind="ddim"),
        DiffusersRePaintEditor(scheduler("v_prediction"), 20, dilation=5, jump=2, resample=2),
    ],
    ids=["ddpm", "ddim", "diffusers"],
)
def test_keeps_the_scan_around_the_region_and_a_cases_noise(editor):
    kind = str(editor.scheduler.prediction_type)
    network = ExactNetwork(np.array([[SD**2]]), kind)
    prior = torch.rand(2, 1, 32, 32) - 0.5
    brain, lesion = torch.ones_like(prior), torch.zeros_like(prior)
    lesion[:, :, 10:14, 10:14] = 1
    both = editor(prior, network, brain, lesion, seeds=[3, 4]).image
    edit = editor.region(brain, lesion)
    assert torch.equal(both[~edit], prior[~edit]) and not torch.equal(both[edit], prior[edit])
    alone = editor(prior[1:], network, brain[1:], lesion[1:], seeds=[4]).image
    assert torch.allclose(alone, both[1:], atol=1e-5)

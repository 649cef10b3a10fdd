# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the embedded judge is taught by, and that it learns by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judges.toy_cohort import case
from monai.losses import DiceFocalLoss

from mededit_monai.judges.embedded import Judge, judge_network
from mededit_monai.judges.train_judge import JudgeLoss


def test_loss_of_a_right_answer_is_small():
    truth = (torch.rand(2, 3, 16, 16) > 0.5).float()
    logits = (truth * 2 - 1) * 12
    assert JudgeLoss()(logits, truth) < 1e-3 < JudgeLoss()(-logits, truth)
    # binary cross-entropy is ln 2 everywhere; times its weight of 2
    flat = torch.zeros_like(truth)
    dice = JudgeLoss().dice(flat, truth)
    assert JudgeLoss()(flat, truth) == pytest.approx(float(dice) + 2 * np.log(2), abs=1e-5)
    focal = DiceFocalLoss(sigmoid=True, gamma=0.0, lambda_focal=2.0)
    assert float(JudgeLoss()(logits / 9, truth)) == pytest.approx(float(focal(logits / 9, truth)), rel=1e-5)


def test_ten_false_pixels_cost_what_ten_missed_ones_do():
    """With smoothing; without it, an image that shows no lesion has the same Dice loss whatever is found in it."""
    small, nothing = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    small[..., :10] = 1 * (torch.arange(32) == 0)[:, None]
    found = (small * 2 - 1) * 40
    missed = torch.full_like(small, -40)
    smooth, plain = JudgeLoss(smooth=10.0).dice, JudgeLoss().dice
    assert float(smooth(missed, small)) == pytest.approx(0.5) == float(smooth(found, nothing))
    assert float(smooth(found, small)) == pytest.approx(0) == float(smooth(missed, nothing))
    likely = torch.full_like(small, -2.0).requires_grad_()
    plain(likely, nothing).backward()
    assert likely.grad.abs().max() < 1e-6
    likely.grad = None
    smooth(likely, nothing).backward()
    assert likely.grad.max() > 1e-5


@pytest.mark.slow
def test_it_learns_left_from_right():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, loss = judge_network("stroke"), JudgeLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    for _ in range(130):
        planes = [case(32, rng) for _ in range(4)]
        truth = [
            [p["pathology"], *(p["ventricles"] == k for k in (1, 2)), *(p["tissue"] == k for k in (1, 2, 3))]
            for p in planes
        ]
        images = torch.from_numpy(np.stack([p["image"] for p in planes])).float()[:, None]
        optimizer.zero_grad()
        loss(network(images), torch.from_numpy(np.array(truth)).float()).backward()
        optimizer.step()
    planes = [case(32, rng) for _ in range(4)]
    masks = Judge("stroke", network, "toy").segment(np.stack([p["image"] for p in planes]))
    assert masks["pathology"].dtype == bool and masks["ventricles"].dtype == np.uint8
    for key, label in (("ventricles", 1), ("ventricles", 2), ("pathology", 1), ("tissue", 2), ("tissue", 3)):
        wanted = np.stack([p[key] for p in planes]) == label
        assert 2 * ((masks[key] == label) & wanted).sum() > 0.8 * ((masks[key] == label).sum() + wanted.sum()), key

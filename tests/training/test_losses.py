# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from mededit_monai.training import DenoisingLoss, min_snr_weight


@pytest.mark.parametrize("kind, wanted", [("mse", (1 + 4) / 2), ("l1", (1 + 2) / 2), ("huber", (0.5 + 1.5) / 2)])
def test_by_hand(kind, wanted):
    """Differences 1 and 2; Huber with δ = 1: ½·1², then 2 - ½."""
    prediction, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, -2.0]]]])
    assert DenoisingLoss(kind)(prediction, target) == pytest.approx(wanted)


def test_weights_behind_the_target():
    prediction = torch.zeros(1, 1, 1, 2)
    target = torch.cat([torch.tensor([[[[1.0, -2.0]]]]), torch.tensor([[[[3.0, 0.5]]]])], dim=1)
    assert DenoisingLoss("mse")(prediction, target) == pytest.approx((3 * 1 + 0.5 * 4) / 2)


def test_unknown_kind():
    with pytest.raises(ValueError, match="mse, l1, huber, got 'mae'"):
        DenoisingLoss("mae")


def test_min_snr_of_the_three_parametrisations_is_one_loss():
    """SNR 1 and 9 at γ = 5; an ε-loss is SNR times an x0-loss, a v-loss SNR + 1 times (Hang et al. 2023)."""
    alpha_bar = torch.tensor([0.5, 0.9], dtype=torch.float64)
    x0 = min_snr_weight(alpha_bar, 5.0, "sample")
    assert x0.tolist() == pytest.approx([1, 5])
    assert min_snr_weight(alpha_bar, 5.0, "epsilon").tolist() == pytest.approx([1, 5 / 9])
    assert min_snr_weight(alpha_bar, 5.0, "v_prediction").tolist() == pytest.approx([1 / 2, 5 / 10])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from ignite.metrics import Loss
from monai.transforms import Decollated

from mededit_monai.training.losses import DenoisingLoss, Target, min_snr_weight, target_size, velocity_weight


@pytest.mark.parametrize("kind, wanted", [("mse", (1 + 4) / 2), ("l1", (1 + 2) / 2), ("huber", (0.5 + 1.5) / 2)])
def test_by_hand(kind, wanted):
    """Differences 1 and 2; Huber with δ = 1: ½·1², then 2 - ½."""
    prediction, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, -2.0]]]])
    assert DenoisingLoss(kind)(prediction, Target(value=target)) == pytest.approx(wanted)


def test_weights_beside_the_target():
    prediction = torch.zeros(1, 1, 1, 2)
    target = Target(value=torch.tensor([[[[1.0, -2.0]]]]), weight=torch.tensor([[[[3.0, 0.5]]]]))
    assert DenoisingLoss("mse")(prediction, target) == pytest.approx((3 * 1 + 0.5 * 4) / 2)


def test_one_weight_serves_every_channel_of_the_value():
    """Two channels that differ by 1 and 2, and pixels that count 3 and ½ times."""
    value = torch.tensor([[[[1.0, 1.0]], [[2.0, 2.0]]]])
    target = Target(value=value, weight=torch.tensor([[[[3.0, 0.5]]]]))
    assert DenoisingLoss("mse")(torch.zeros_like(value), target) == pytest.approx((3 * (1 + 4) + 0.5 * (1 + 4)) / 4)


def test_what_monai_and_ignite_make_of_a_target():
    """MONAI's trainer takes its output apart after every batch; Ignite weighs batches by their cases."""
    target = Target(value=torch.arange(3.0).view(3, 1, 1, 1), weight=torch.ones(3, 1, 1, 1))
    output = {"pred": torch.zeros(3, 1, 1, 1), "label": target, "loss": torch.tensor(1.0)}
    cases = Decollated(keys=None, detach=True)(output)
    assert [case["label"]["value"].item() for case in cases] == [0.0, 1.0, 2.0] and target_size(target) == 3
    validator = Engine(lambda engine, count: (torch.zeros(count, 1), Target(value=torch.full((count, 1), 1.0 * count))))
    Loss(DenoisingLoss(), batch_size=target_size).attach(validator, "loss")
    assert validator.run([1, 3]).metrics["loss"] == pytest.approx((1 * 1 + 3 * 9) / 4)


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


def test_an_x0_loss_with_the_weights_of_v_is_a_v_loss():
    """v = √ᾱ ε - √(1-ᾱ) x0 of one x_t: errors of v are those of x0 over √(1-ᾱ), up to the bound."""
    alpha_bar = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    x_t, x0, wrong = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def v(clean: torch.Tensor) -> torch.Tensor:
        noise = (x_t - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean

    assert torch.allclose(velocity_weight(alpha_bar, 11.0) * (x0 - wrong) ** 2, (v(x0) - v(wrong)) ** 2)
    assert velocity_weight(torch.tensor([0.999])).item() == 10

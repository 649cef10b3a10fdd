# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Gradients inside MONAI's trainer: clipped, also while they are gathered over batches, and left out if not finite."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import GradientClipper
from mededit_monai.handlers.guards import MOST_SKIPPED


@pytest.mark.parametrize("accumulation, max_norm", [(1, 0.5), (2, 0.5), (3, 0.5), (2, None)])
def test_step_length(accumulation, max_norm):
    """Plain gradient descent at rate 1: each step is as long as the gradient, or as the limit."""
    network = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    data = [{"image": torch.tensor([[3.0, 4.0]]), "label": torch.tensor([[1.0]])} for _ in range(4)]
    optimizer, lengths = torch.optim.SGD(network.parameters(), lr=1.0), []
    optimizer.register_step_pre_hook(lambda *_: lengths.append(float(network.weight.grad.norm())))
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=data,
        network=network,
        optimizer=optimizer,
        loss_function=lambda prediction, label: (prediction * 0 + (network.weight * data[0]["image"]).sum()).mean(),
        train_handlers=[GradientClipper(network, max_norm)],
        accumulation_steps=accumulation,
        decollate=False,
    )
    trainer.run()
    full = {1: [5, 5, 5, 5], 2: [5, 5], 3: [5, 5 / 3]}[accumulation]  # the last of 4 batches alone is a third
    assert lengths == pytest.approx([min(norm, max_norm or norm) for norm in full], abs=1e-5)


def trained(bad: set[int], steps: int) -> tuple[torch.nn.Module, GradientClipper]:
    """Steps of Adam, some of them (from 1) with a NaN in the gradient at a finite loss."""
    network = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(network.weight)
    count = iter(range(1, steps + 1))
    network.weight.register_hook(lambda grad: grad * float("nan") if next(count) in bad else grad)
    clipper = GradientClipper(network, 1.0)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.tensor([[3.0, 4.0]]), "label": torch.tensor([[1.0]])}] * steps,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=0.1),
        loss_function=torch.nn.MSELoss(),
        train_handlers=[clipper],
        decollate=False,
    )
    trainer.logger.disabled = True
    trainer.run()
    return network, clipper


def test_a_step_whose_gradient_is_not_finite_is_left_out():
    with_gap, clipper = trained({2}, 4)
    without, _ = trained(set(), 3)
    assert torch.isfinite(with_gap.weight).all() and torch.equal(with_gap.weight, without.weight)
    assert clipper.skipped == 0


def test_many_in_a_row_end_the_training_in_a_sentence():
    with pytest.raises(InputError, match=f"not finite at {MOST_SKIPPED} iterations in a row.* lower --learning_rate"):
        trained(set(range(3, 100)), MOST_SKIPPED + 10)

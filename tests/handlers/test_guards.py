# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Gradient clipping inside MONAI's trainer, also while gradients are gathered over batches."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer

from mededit_monai.handlers import GradientClipper


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

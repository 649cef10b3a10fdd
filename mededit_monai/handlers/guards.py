# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What watches over every iteration of a training."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.seeded import EpochBatches


class FiniteLoss:
    """Stop at a loss that is not finite, before it reaches the weights, and name the batch's cases."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        loss = engine.state.output["loss"].detach()
        if not torch.isfinite(loss):
            cases = ", ".join(map(str, engine.state.batch.get("case_id", ["unknown"])))
            raise InputError(
                f"loss is {float(loss)} at epoch {engine.state.epoch}, iteration {engine.state.iteration}, on the "
                f"cases {cases}; look at these, or lower --learning_rate, and run again: the last checkpoint is kept."
            )


#: Steps in a row with a gradient that is not finite, after which a training has diverged.
MOST_SKIPPED = 20


class GradientClipper:
    """
    Limit the norm of the gradient before each optimizer step, and leave out a step whose gradient is not finite.

    As ``GradScaler`` does in fp16. In bf16 it has been met on a CPU, on a grid of two voxels a side, at a finite loss:
    one such step would make all weights NaN.

    Args:
        network: whose gradient.
        max_norm: largest norm; None or 0 for no limit.

    Raises:
        InputError: in the run, after ``MOST_SKIPPED`` such steps in a row.
    """

    def __init__(self, network: torch.nn.Module, max_norm: float | None) -> None:
        self.network, self.max_norm, self.skipped = network, max_norm or float("inf"), 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        position = (engine.state.iteration - 1) % engine.state.epoch_length + 1
        if position % engine.accumulation_steps and position != engine.state.epoch_length:
            return  # no step is taken at this iteration: gradients are still being gathered
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
        if engine.scaler is not None or bool(torch.isfinite(norm)):
            self.skipped = 0
            return
        self.skipped += 1
        if self.skipped >= MOST_SKIPPED:
            raise InputError(
                f"the gradient was not finite at {self.skipped} iterations in a row, up to epoch {engine.state.epoch}, "
                f"iteration {engine.state.iteration}; lower --learning_rate, or leave out --amp, and run again: the "
                f"last checkpoint is kept."
            )
        for parameter in self.network.parameters():
            parameter.grad = None  # optimizers pass over it


class EpochSetter:
    """Tell the batch sampler which epoch it is."""

    def __init__(self, sampler: EpochBatches) -> None:
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda e: self.sampler.set_epoch(e.state.epoch))

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


class GradientClipper:
    """
    Limit the norm of the gradient before each optimizer step.

    Args:
        network: whose gradient.
        max_norm: largest norm; None or 0 for no limit.
    """

    def __init__(self, network: torch.nn.Module, max_norm: float | None) -> None:
        self.network, self.max_norm = network, max_norm

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self.max_norm:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        position = (engine.state.iteration - 1) % engine.state.epoch_length + 1
        if position % engine.accumulation_steps and position != engine.state.epoch_length:
            return  # no step is taken at this iteration: gradients are still being gathered
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


class EpochSetter:
    """Tell the batch sampler which epoch it is."""

    def __init__(self, sampler: EpochBatches) -> None:
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda e: self.sampler.set_epoch(e.state.epoch))

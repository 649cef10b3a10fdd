# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Validation loss by noise level: a mean over all levels hides what the low ones, which make the texture, do."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events

from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch


class NoiseLevelLoss:
    """
    Adds metrics ``val_loss_t0`` … : the loss of validation cases by equal parts of [0, T).

    Args:
        loss: (prediction, target) → scalar; see :class:`~mededit_monai.training.losses.Target`.
        prepare_batch: of the validation; knows the timesteps of the batch.
        parts: into how many [0, T) is cut.
    """

    def __init__(self, loss: torch.nn.Module, prepare_batch: MaskConditionedPrepareBatch, parts: int = 5) -> None:
        self.loss, self.prepare_batch, self.parts = loss, prepare_batch, parts
        self._sums: dict[int, list[float]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to the validation engine, ahead of what logs its metrics."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._sums.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    def _add(self, engine: Engine) -> None:
        steps, output = self.prepare_batch.scheduler.num_train_timesteps, engine.state.output
        part_of = (self.prepare_batch.timesteps * self.parts // steps).tolist()
        for case, part in enumerate(part_of):
            one = slice(case, case + 1)
            target = {name: tensor[one] for name, tensor in output["label"].items()}
            self._sums.setdefault(part, []).append(float(self.loss(output["pred"][one], target)))

    def _report(self, engine: Engine) -> None:
        steps = self.prepare_batch.scheduler.num_train_timesteps
        for part, losses in sorted(self._sums.items()):
            engine.state.metrics[f"val_loss_t{part * steps // self.parts}"] = sum(losses) / len(losses)

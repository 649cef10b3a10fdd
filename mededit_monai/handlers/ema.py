# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the weights, as a MONAI-style handler over Ignite's ``EMAHandler``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler


class ExponentialMovingAverage:
    """
    Average the network's weights after every iteration.

    Args:
        network: the network in training.
        decay: share of the old average kept at each step, 0.995 … 0.9999; 0 for no average.
        warmup_iterations: the decay grows linearly from 0 to ``decay`` over these, so that a short training is not
            held back by its random start.

    Attributes:
        network: the averaged network, or without average the one in training; validate and export this one.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.999, warmup_iterations: int = 500) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}.")
        self._handler: EMAHandler | None = None
        self.network: torch.nn.Module = network
        if decay == 0:
            return
        # Ignite's momentum is the share of the *new* weights.
        self._handler = EMAHandler(
            network, momentum=1 - decay, momentum_warmup=1.0, warmup_iters=max(1, warmup_iterations)
        )
        self.network = self._handler.ema_model

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights and the position in the warm-up."""
        scheduler = getattr(self._handler, "momentum_scheduler", None)
        return {"network": self.network.state_dict(), "updates": scheduler.event_index if scheduler else 0}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; after :meth:`attach`."""
        self.network.load_state_dict(state["network"])
        scheduler = getattr(self._handler, "momentum_scheduler", None)
        if scheduler:
            scheduler.event_index = state["updates"]

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if self._handler is not None:
            self._handler.attach(engine, name="ema_momentum", event=Events.ITERATION_COMPLETED)

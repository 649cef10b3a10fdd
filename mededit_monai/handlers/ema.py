# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the weights, as a MONAI-style handler over Ignite's ``EMAHandler``."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler


class ExponentialMovingAverage:
    """
    Average the network's weights after every iteration.

    Args:
        network: the network in training.
        decay: share of the old average kept at each step, 0.995 … 0.9999.
        warmup_iterations: the decay grows linearly from 0 to ``decay`` over these, so that a short training is not
            held back by its random start.

    Attributes:
        network: the averaged network; validate and export this one.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.999, warmup_iterations: int = 500) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must lie in (0, 1), got {decay}.")
        # Ignite's momentum is the share of the *new* weights.
        self._handler = EMAHandler(
            network, momentum=1 - decay, momentum_warmup=1.0, warmup_iters=max(1, warmup_iterations)
        )
        self.network: torch.nn.Module = self._handler.ema_model

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        self._handler.attach(engine, name="ema_momentum", event=Events.ITERATION_COMPLETED)

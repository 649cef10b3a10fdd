# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the held-out displacement a network explains: figures that do not depend on how much moves at all."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events

from mededit_monai.training.effects_loss import SMALLEST_STRENGTH, STRENGTH_MM, displacements, observed_strength

#: From so many mm on, tissue counts as moved.
MOVED_MM = 0.2


class DisplacementError:
    """
    Adds metrics of a validation of the effects network, all on half of the grid.

    ``val_variance_left``: Σ w |û - u|² / Σ w |u|², 1 for a network that moves nothing. ``val_endpoint_mm``: mean
    |û - u| where |u| > 0.2 mm, and ``val_moved_mm``: mean |u| there. ``val_still`` and ``val_still_true``: share of
    the brain where nothing moves. ``val_strength`` and ``val_strength_sd``: mean of ⟨u, û⟩/⟨û, û⟩ over cases, 1 is
    right, and standard deviation of its logarithm, beside ``val_spread``: mean of the σ that the network gives.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._strengths: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the validation engine, ahead of what logs its metrics."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    def _start(self, engine: Engine) -> None:
        self._sums, self._strengths = {}, []

    @torch.no_grad()
    def _add(self, engine: Engine) -> None:
        prediction, target = engine.state.output["pred"], engine.state.output["label"]
        moved = displacements(prediction, target)
        error, size = ((one.square().sum(dim=1, keepdim=True)) for one in (moved.found - moved.wanted, moved.wanted))
        weight, far = target["weight"], size > MOVED_MM**2
        brain = weight > 0
        found = {
            "left": weight * error,
            "all": weight * size,
            "off": error.sqrt() * far,
            "moved": size.sqrt() * far,
            "far": far,
            "still": brain & (moved.found == 0).all(dim=1, keepdim=True),
            "still_true": brain & (size == 0),
            "brain": brain,
        }
        for name, one in found.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(one.double().sum())
        tells = moved.found.square().sum(dim=1).flatten(1).amax(dim=1) > STRENGTH_MM**2
        tells &= target["atrophy"] == 0
        strength = observed_strength(moved.found, moved.wanted)
        self._strengths.append(torch.stack([strength, moved.log_spread.exp()], dim=1)[tells].cpu())

    def _report(self, engine: Engine) -> None:
        s = self._sums
        metrics = {
            "val_variance_left": s["left"] / max(s["all"], 1e-9),
            "val_endpoint_mm": s["off"] / max(s["far"], 1.0),
            "val_moved_mm": s["moved"] / max(s["far"], 1.0),
            "val_still": s["still"] / max(s["brain"], 1.0),
            "val_still_true": s["still_true"] / max(s["brain"], 1.0),
        }
        known = torch.cat(self._strengths)
        if len(known) > 1:
            strengths = known[:, 0].clamp(min=SMALLEST_STRENGTH)
            metrics |= {
                "val_strength": float(strengths.mean()),
                "val_strength_sd": float(strengths.log().std()),
                "val_spread": float(known[:, 1].mean()),
            }
        engine.state.metrics |= metrics

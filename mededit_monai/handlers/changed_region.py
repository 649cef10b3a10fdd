# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The edit region of a method that finds it itself, for metrics."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from mededit_monai.space.intensity import to_unit_range


class ChangedRegion:
    """
    Replace the batch's ``region`` by where the edit differs from the ``prior``.

    For a method that restores the prior bit for bit outside a region which is known only after the edit. Stored edits
    need no region beside them. Attach it before the metrics.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        edit, prior = to_unit_range(engine.state.output[CommonKeys.PRED]), engine.state.batch["prior"]
        engine.state.batch["region"] = (edit.to(prior) != prior).to(prior)

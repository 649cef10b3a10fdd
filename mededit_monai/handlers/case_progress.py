# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How far a run over a list of cases is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm


class CaseProgress:
    """
    A bar of the cases done, of all, and the time left; on a terminal alone.

    Args:
        cases: of :func:`~mededit_monai.datasets.editing.editing_cases`; those that were done before count as done.
        shown: False switches it off.
    """

    def __init__(self, cases: Sequence[Any], shown: bool = True) -> None:
        self.before = len(getattr(cases, "done", ()))
        self.total, self.shown = self.before + len(cases), shown
        self._bar: tqdm | None = None
        self._size = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an ``EditEvaluator``."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_STARTED, self._count)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._give_up)

    def _open(self, engine: Engine) -> None:
        hidden = None if self.shown else True  # None: tqdm looks whether stderr is a terminal
        self._bar = tqdm(total=self.total, initial=self.before, desc="editing", unit="case", disable=hidden)

    def _count(self, engine: Engine) -> None:
        batch = engine.state.batch
        self._size = len(batch["cases"]) + len(batch.get("failed", ()))

    def _advance(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.update(self._size)

    def _close(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()

    def _give_up(self, engine: Engine, error: BaseException) -> None:
        self._close(engine)
        raise error  # which Ignite keeps for itself where there is a handler

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What writers of cases share: a case's folder stays open while its samples come, and a case that fails is its own."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from mededit_monai.core.errors import SomeFailed, say
from mededit_monai.handlers.portions import outputs_of
from mededit_monai.prepare.one_by_one import failed_case
from mededit_monai.reports.edit_summary import FAILED_FILE


class CaseWriter(ABC):
    """
    Writes the cases of each batch, folder by folder.

    Args:
        output_dir: gets a folder a case.
        samples: of each case.
        keep_going: whether a case that fails is noted, and the others go on.

    Attributes:
        written: folders, in the order of the cases.
        failed: ``case_id`` and ``failed``, a sentence, of those that were not.
    """

    def __init__(self, output_dir: Path, samples: int, keep_going: bool) -> None:
        self.output_dir, self.samples, self.keep_going = output_dir, samples, keep_going
        self.written: list[Path] = []
        self.failed: list[dict[str, str]] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to an ``EditEvaluator``."""
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        seconds, batch = time.perf_counter() - self._started, engine.state.batch
        self.failed += batch.get("failed", [])
        if not batch["cases"]:
            return
        begun = {case["case_id"]: self.writing(case) for case in batch["cases"]}
        for one in begun.values():
            next(one)
        try:
            for output, took in outputs_of(engine.state.output, seconds):
                self._write(begun, batch, output, took)
        except Exception as error:  # of a portion that cannot be made
            if not self.keep_going:
                raise
            self.failed += [failed_case("", error) | {"case_id": name} for name in begun]
        finally:
            for one in begun.values():  # of what is not whole nothing stays
                one.close()

    def _write(
        self,
        begun: dict[str, Generator[None, Any, None]],
        batch: Mapping[str, Any],
        output: Mapping[str, Any],
        seconds: float,
    ) -> None:
        for case, part in zip(batch["cases"], self.parts(batch, output, seconds)):
            name = case["case_id"]
            if name not in begun:
                continue  # it failed before
            try:
                begun[name].send(part)
            except StopIteration:
                del begun[name]
            except Exception as error:
                del begun[name]
                if not self.keep_going:
                    raise
                self.failed.append(failed_case(name, error))

    @abstractmethod
    def parts(self, batch: Mapping[str, Any], output: Mapping[str, Any], seconds: float) -> Sequence[Any]:
        """What an engine's output has of each case of a batch; seconds: that it took."""

    @abstractmethod
    def writing(self, case: Mapping[str, Any]) -> Generator[None, Any, None]:
        """Writes a case: is sent its parts, portion by portion, and ends after the last."""

    def report_failures(self, before: int = 0) -> None:
        """
        At the end of a run that kept going.

        Args:
            before: how many cases were done before.

        Raises:
            SomeFailed: if any case failed.
        """
        if not self.failed:
            return
        for one in self.failed:
            say(f"{one['case_id']}: {one['failed']}", error=True)
        raise SomeFailed(self.written, self.failed, before, self.output_dir / FAILED_FILE)

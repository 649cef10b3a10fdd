# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a training tells: a progress bar or one line an epoch, a table and learning curves."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from tqdm import tqdm

from mededit_monai.core.loudness import hush
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.reports.curves import read_history, save_curves
from mededit_monai.training.distributed import is_main_process
from mededit_monai.training.folder import LOG_FILES, SETTINGS_FILE

logger = logging.getLogger(__name__)


class TrainingLog:
    """
    On a terminal a progress bar with the time left; elsewhere one line an epoch. In ``output_dir``: ``training.json``
    (settings and versions), ``history.csv`` (a row an epoch), ``progress.png``.

    Args:
        output_dir: folder of the files.
        settings: written down as they are.
        validator: its metrics go into the row of the epoch.
        progress: False switches the bar off.

    Raises:
        InputError: when the training starts, a file of these names that mededit did not write, or a damaged table.
    """

    def __init__(
        self,
        output_dir: str | Path,
        settings: Mapping[str, Any] | None = None,
        validator: Engine | None = None,
        progress: bool = True,
    ) -> None:
        self.folder, self.settings, self.validator = user_path(output_dir), dict(settings or {}), validator
        self.progress = progress and sys.stderr.isatty()
        self.rows: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._bar: tqdm | None = None
        self._started = self._run_started = 0.0
        self._first_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, behind resume and validation."""
        for one in (engine, self.validator):
            if one is not None:
                hush(one.logger.name, logging.WARNING)  # Ignite's own lines would bury the one a reader wants
        if is_main_process():
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
            engine.add_event_handler(Events.COMPLETED | Events.EXCEPTION_RAISED, self._close)

    def _start(self, engine: Engine) -> None:
        self._first_epoch, self._run_started = engine.state.epoch, time.perf_counter()
        OutputFolder(self.folder).reserve(LOG_FILES)
        table = self.folder / "history.csv"
        if self._first_epoch and table.is_file():
            self.rows = [row for row in read_history(table) if int(row["epoch"]) <= self._first_epoch]
        record = {"note": DISCLAIMER, "settings": self.settings, "versions": versions()}
        write_json(self.folder / SETTINGS_FILE, json.loads(json.dumps(record, default=str)), indent=2)
        if self.progress:
            length = engine.state.epoch_length
            self._bar = tqdm(total=engine.state.max_epochs * length, initial=engine.state.iteration, desc="training")

    def _start_epoch(self, engine: Engine) -> None:
        self._started, self._losses = time.perf_counter(), []

    def _iteration(self, engine: Engine) -> None:
        output = engine.state.output
        output = output[0] if isinstance(output, list) else output  # decollated: every case holds the batch's loss
        self._losses.append(float(torch.as_tensor(output["loss"]).detach()))
        if self._bar is not None:
            self._bar.set_postfix(epoch=engine.state.epoch, loss=f"{self._losses[-1]:.4f}", refresh=False)
            self._bar.update()

    def _epoch(self, engine: Engine) -> None:
        seconds = time.perf_counter() - self._started
        row: dict[str, Any] = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "learning_rate": engine.optimizer.param_groups[0]["lr"],
            "train_loss": sum(self._losses) / len(self._losses),
            "seconds": round(seconds, 1),
        }
        if self.validator is not None and self.validator.state.epoch == engine.state.epoch:
            row |= {k: v for k, v in self.validator.state.metrics.items() if isinstance(v, (int, float))}
        self.rows.append(row)
        self._write()
        if self._bar is None:
            logger.info(self._line(engine, row))

    def _line(self, engine: Engine, row: Mapping[str, Any]) -> str:
        done = engine.state.epoch - self._first_epoch
        left = (time.perf_counter() - self._run_started) / done * (engine.state.max_epochs - engine.state.epoch)
        hours, minutes = divmod(math.ceil(left / 60), 60)
        scores = "  ".join(
            f"{k} {v:.4f}"
            for k, v in row.items()
            if k.startswith(("train_", "edit_")) or k in ("val_loss", "val_variance_left")
        )
        took = f"{row['seconds']:.0f} s, {hours}:{minutes:02d} h left"
        return f"epoch {engine.state.epoch}/{engine.state.max_epochs}  {scores}  {took}"

    def _write(self) -> None:
        fields = list(dict.fromkeys(key for row in self.rows for key in row))
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, fields)
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "history.csv", stream.getvalue())
        save_curves(self.rows, self.folder / "progress.png")

    def _close(self, engine: Engine, error: BaseException | None = None) -> None:
        if self._bar is not None:
            self._bar.close()
        if error is not None:
            raise error

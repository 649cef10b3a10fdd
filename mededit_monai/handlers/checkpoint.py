# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Checkpoints that a killed training goes on from, to the same weights as if it had not been killed.

MONAI's ``CheckpointSaver`` writes in place, so that a kill while it writes leaves half a file and nothing else.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.outputs import OutputFolder, written_files
from mededit_monai.networks.weights import read_archive, save_atomically, save_weights
from mededit_monai.training.distributed import is_main_process
from mededit_monai.training.folder import BEST_WEIGHTS, CHECKPOINT_FILE, KEPT_WEIGHTS, LAST_WEIGHTS

__all__ = ["BEST_WEIGHTS", "CHECKPOINT_FILE", "LAST_WEIGHTS", "TrainingCheckpoint"]

#: What a checkpoint holds.
PARTS = {"epoch": int, "iteration": int, "objects": dict, "scaler": dict, "best": dict, "settings": dict}

#: Settings that checkpoints of an older mededit lack; they are taken to be the same.
LATER = ("epoch_cases", "side", "depth", "num_train_timesteps")

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """
    Resume at the start, save after every epoch, keep best and last weights.

    Everything random depends on seed, epoch and case (see :mod:`mededit_monai.datasets.seeded`), so what is saved at
    the end of an epoch is all the state there is. Saving is the last thing that an epoch does, wherever this stands in
    the list of handlers: what a checkpoint says is done is written down, also its row of the history.

    Files: ``checkpoint.pt`` (everything, full precision), ``model.pt`` (the exported network at its lowest validation
    metric; after the last epoch if no epoch had one that is a number), ``model_last.pt`` (the same after the last
    epoch), perhaps ``model_epoch_00010.pt`` and so on; all weight files in half precision. A training that begins anew
    removes the first three of the one before.

    Args:
        output_dir: folder of the files.
        objects: what has a state: network, averaged network, optimizer, learning-rate scheduler.
        exported: network whose weights are written, usually the averaged one.
        validator: its key metric decides which epoch was best, lower is better; None: the last is the best.
        settings: plain values that a resumed training must share.
        resume: False starts anew.
        keep_interval: epochs between weights that are kept under the epoch's number; 0: none.

    Raises:
        InputError: when the training starts, a file of these names that mededit did not write.
    """

    def __init__(
        self,
        output_dir: str | Path,
        objects: Mapping[str, Any],
        exported: torch.nn.Module,
        validator: Engine | None = None,
        settings: Mapping[str, Any] | None = None,
        resume: bool = True,
        keep_interval: int = 0,
    ) -> None:
        self.keep_interval = keep_interval
        self.folder, self.objects, self.exported = user_path(output_dir), dict(objects), exported
        self.validator, self.resume = validator, resume
        self.settings = json.loads(json.dumps(dict(settings or {}), default=str))
        self.best: dict[str, float] = {"value": float("inf"), "epoch": 0}
        self._validated = False

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        if self.validator is not None:
            self.validator.add_event_handler(Events.EPOCH_COMPLETED, self._note_validation)

    def _start(self, engine: Engine) -> None:
        if is_main_process():
            folder = OutputFolder(self.folder)
            if self.keep_interval:
                folder.require_free([place.name for place in self.folder.glob(KEPT_WEIGHTS.format("*"))])
            folder.reserve((CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS))
        self.load(engine)
        if is_main_process() and engine.state.epoch == 0:
            self._remove_old()
        if not engine.has_event_handler(self.save, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)  # now, behind those that were attached

    def _remove_old(self) -> None:
        """Files of a training before this one, which would pass for this one's; the checkpoint goes first."""
        known = written_files(self.folder) or {}
        for name in (CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS):
            if name in known:  # and stays so: they are about to be written
                (self.folder / name).unlink(missing_ok=True)

    def load(self, engine: Engine) -> None:
        """
        Restore trainer and objects if the folder holds a checkpoint.

        Raises:
            InputError: a damaged checkpoint, one of other settings, another network or longer or shorter epochs, or of
            more epochs than wanted.
        """
        path = self.folder / CHECKPOINT_FILE
        if not self.resume or not path.exists():
            return
        way_out = "choose another --output_dir, or --resume false to start anew"
        content = read_archive(path, "a checkpoint", way_out)
        parts = content if isinstance(content, dict) else {}
        if odd := [name for name, kind in PARTS.items() if not isinstance(parts.get(name), kind)]:
            raise InputError(f"{path}: cannot be read as a checkpoint (no '{odd[0]}' in it); {way_out}.")
        for name, value in self.settings.items():
            if name not in content["settings"]:
                if name in LATER:
                    continue
                raise InputError(f"{path}: was made by another mededit, which did not write {name} down; {way_out}.")
            found = content["settings"][name]
            if found != value:
                raise InputError(f"{path}: was made with {name} = {found}, now {value}; {way_out}.")
        batches = content["iteration"] / content["epoch"] if content["epoch"] else engine.state.epoch_length
        if batches != engine.state.epoch_length:  # epochs are told by counting batches, and some would be lost
            raise InputError(
                f"{path}: was made with {batches:g} batches an epoch, now {engine.state.epoch_length} (by "
                f"--epoch_cases, --batch_size, the list of cases or the number of processes); {way_out}."
            )
        if content["epoch"] > engine.state.max_epochs:
            raise InputError(
                f"--max_epochs: got {engine.state.max_epochs}, but {path} has {content['epoch']} epochs; {way_out}."
            )
        try:
            for name, item in self.objects.items():
                item.load_state_dict(content["objects"][name])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: is of another network or optimizer; {way_out}.") from error
        scaler = getattr(engine, "scaler", None)
        if scaler is not None and content["scaler"]:
            scaler.load_state_dict(content["scaler"])
        engine.state.epoch, engine.state.iteration = content["epoch"], content["iteration"]
        self.best = content["best"]
        done = "the training is done" if content["epoch"] == engine.state.max_epochs else "going on"
        logger.info("%s: %d epochs done, %s.", path, content["epoch"], done)

    def save(self, engine: Engine) -> None:
        """Write weights and checkpoint, in this order: a kill in between repeats the epoch and writes the same."""
        if not is_main_process():
            return
        save_weights(self.exported, self.folder / LAST_WEIGHTS)
        if self.validator is None or self._is_best(engine) or self._stands_in(engine):
            save_weights(self.exported, self.folder / BEST_WEIGHTS)
        if self.keep_interval and engine.state.epoch % self.keep_interval == 0:
            name = KEPT_WEIGHTS.format(f"{engine.state.epoch:05d}")
            OutputFolder(self.folder).reserve((name,))
            save_weights(self.exported, self.folder / name)
        scaler = getattr(engine, "scaler", None)
        content = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "objects": {name: item.state_dict() for name, item in self.objects.items()},
            "scaler": scaler.state_dict() if scaler is not None else {},
            "best": self.best,
            "settings": self.settings,
        }
        save_atomically(content, self.folder / CHECKPOINT_FILE)

    def _note_validation(self, _: Engine) -> None:
        self._validated = True

    def _is_best(self, engine: Engine) -> bool:
        if not self._validated:
            return False
        self._validated = False
        state = self.validator.state  # type: ignore[union-attr]
        value = float(state.metrics[state.key_metric_name])
        if math.isnan(value) or value >= self.best["value"]:
            return False
        self.best = {"value": value, "epoch": engine.state.epoch}
        return True

    def _stands_in(self, engine: Engine) -> bool:
        """Whether this epoch is the last, and none was the best."""
        if self.best["epoch"] or engine.state.epoch != engine.state.max_epochs:
            return False
        logger.warning("%s: is of the last epoch, as no epoch has a validation metric to go by.", BEST_WEIGHTS)
        return True

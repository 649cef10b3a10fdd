# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a training: whose the files in it are, and one training in it at a time."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder, list_files
from mededit_monai.training.distributed import is_main_process

#: What the handlers of every training write.
CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS = "checkpoint.pt", "model.pt", "model_last.pt"
LOG_FILES = ("training.json", "history.csv", "progress.png")
TRAINING_FILES = (CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS, *LOG_FILES)

#: What MONAI writes if it is asked to track a run with MLflow.
TRACKING_FILES = ("mlruns.db", "mlruns")

#: Pictures of a training's quick edits, by epoch.
PREVIEWS_FOLDER, PREVIEWS = "previews", "epoch_*.png"

#: Where TensorBoard's handler writes, and how its files are called: by time, host and process, so none meets another.
EVENTS_FOLDER, EVENTS = "tensorboard", "events.out.tfevents.*"


def run_training(output_dir: str | Path, inputs: Mapping[str, Any]) -> None:
    """
    What ``train.yaml`` runs: its trainer, in a folder that holds nobody else's files and no other training.

    Args:
        inputs: option → file or folder that is read; ``dataset_dir`` must not be the output folder itself.
    """
    from mededit_monai import workflows  # it imports the options of this package

    if not is_main_process():
        workflows.run_engine("train#trainer")
        return
    with reporting_bad_input():
        output = user_path(output_dir)
        given = {name: user_path(value) for name, value in inputs.items() if isinstance(value, (str, os.PathLike))}
        if "dataset_dir" in given and output.exists() and output.resolve() == given["dataset_dir"].resolve():
            raise InputError(f"--output_dir: {output} is the folder of the data; choose another for the training.")
        tracked = _is_tracked(workflows._running_parser())
        there = [place.relative_to(output).as_posix() for place in (output / PREVIEWS_FOLDER).glob(PREVIEWS)]
        OutputFolder(output, given.values()).require_free(there)
        with training_folder(output, (*TRAINING_FILES, *(TRACKING_FILES if tracked else ())), given.values()):
            workflows.run_engine("train#trainer")


def _is_tracked(parser: Any) -> bool:
    return parser is not None and "tracking_uri" in parser.get()


@contextmanager
def training_folder(folder: str | Path, names: Collection[str], inputs: Iterable[str | Path] = ()) -> Iterator[None]:
    """
    Hold a folder while the block trains in it.

    Args:
        names: of the files that are written there.
        inputs: files that nothing may be written over.

    Raises:
        InputError: another training is at work there, or a file of these names is not ours or is an input.
    """
    folder = Path(folder)
    with held_folder(folder, names, inputs):
        before = _events(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # a full disk has been told of already
                list_files(folder, dict.fromkeys(_events(folder) - before))


def _events(folder: Path) -> set[str]:
    return {place.relative_to(folder).as_posix() for place in (folder / EVENTS_FOLDER).glob(EVENTS)}

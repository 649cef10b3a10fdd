# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a training: whose the files in it are, and one training in it at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import list_files

#: What the handlers of every training write.
CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS = "checkpoint.pt", "model.pt", "model_last.pt"
#: Weights of an epoch, by its number.
KEPT_WEIGHTS = "model_epoch_{}.pt"
SETTINGS_FILE = "training.json"
LOG_FILES = (SETTINGS_FILE, "history.csv", "progress.png")
TRAINING_FILES = (CHECKPOINT_FILE, BEST_WEIGHTS, LAST_WEIGHTS, *LOG_FILES)

#: What MONAI writes if it is asked to track a run with MLflow.
TRACKING_FILES = ("mlruns.db", "mlruns")

#: Pictures of a training's quick edits, by epoch.
PREVIEWS_FOLDER, PREVIEWS = "previews", "epoch_*.png"

#: Where TensorBoard's handler writes, and how its files are called: by time, host and process, so none meets another.
EVENTS_FOLDER, EVENTS = "tensorboard", "events.out.tfevents.*"


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
    with held_folder(folder, names, inputs, sealed=False):
        before = _events(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # a full disk has been told of already
                list_files(folder, dict.fromkeys(_events(folder) - before))


def trained_settings(weights: Path) -> tuple[Path | None, dict[str, Any]]:
    """
    What the training of a weight file wrote down: the JSON file of the same name beside it, or ``training.json``.

    Returns:
        the file, and its settings; None and nothing where there is none.

    Raises:
        InputError: a damaged file.
    """
    places = (weights.with_suffix(".json"), weights.parent / SETTINGS_FILE)
    place = next((one for one in places if one.is_file()), None)
    if place is None:
        return None, {}
    try:
        return place, dict(json.loads(place.read_bytes())["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place}: cannot be read as the settings of a training; move {weights.name} or mend it."
        ) from error


def _events(folder: Path) -> set[str]:
    return {place.relative_to(folder).as_posix() for place in (folder / EVENTS_FOLDER).glob(EVENTS)}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import TrainingCheckpoint
from mededit_monai.io.outputs import written_files


def test_saving_is_the_last_thing_of_an_epoch(tmp_path):
    """A kill right after a checkpoint loses nothing that other handlers write at the end of its epoch."""
    network, found = torch.nn.Linear(1, 1), []

    def note(engine: Engine) -> None:
        path = tmp_path / "checkpoint.pt"
        saved = torch.load(path, weights_only=True)["epoch"] if path.is_file() else 0
        found.append((engine.state.epoch, saved))

    engine = Engine(lambda _, batch: batch)
    TrainingCheckpoint(tmp_path, {"network": network}, network).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, note)
    engine.run([0], max_epochs=3)
    assert found == [(1, 0), (2, 1), (3, 2)]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 3


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"family": "composed"}, r"was made with family = composed, now mededit; choose another --output_dir, or"),
        ({}, r"was made by another mededit, which did not write family down; choose another --output_dir, or"),
    ],
)
def test_a_checkpoint_of_other_settings_is_one_sentence(tmp_path, written, words):
    """Also one of an earlier mededit, which called things otherwise or recorded less."""
    for settings in (written, {"family": "mededit"}):
        network, engine = torch.nn.Linear(1, 1), Engine(lambda _, batch: batch)
        TrainingCheckpoint(tmp_path, {"network": network}, network, settings=settings).attach(engine)
        if settings is written:
            engine.run([0], max_epochs=1)
    with pytest.raises(InputError, match=rf"checkpoint\.pt: {words} --resume false to start anew\.") as caught:
        engine.run([0], max_epochs=2)
    assert "\n" not in str(caught.value)


def test_epochs_of_another_length_are_refused(tmp_path):
    """Ignite tells epochs by counting batches: an epoch that became shorter would be skipped in silence."""
    network = torch.nn.Linear(1, 1)

    def train(batches: int, epochs: int, **settings: int) -> Engine:
        engine = Engine(lambda _, batch: batch)
        TrainingCheckpoint(tmp_path, {"network": network}, network, settings=settings).attach(engine)
        engine.run([0] * batches, max_epochs=epochs)
        return engine

    train(6, 2)
    with pytest.raises(InputError, match="checkpoint.pt: was made with 6 batches an epoch, now 4 .by --epoch_cases"):
        train(4, 4, epoch_cases=8)
    assert train(6, 3, epoch_cases=12).state.iteration == 18  # though the checkpoint does not name epoch_cases


def test_weights_of_some_epochs_are_kept(tmp_path):
    """Those of every second one; a file of that name that somebody else wrote ends the training before it starts."""
    network, engine = torch.nn.Linear(1, 1), Engine(lambda _, batch: network.bias.data.fill_(engine.state.epoch))
    TrainingCheckpoint(tmp_path, {"network": network}, network, keep_interval=2).attach(engine)
    engine.run([0], max_epochs=5)
    kept = sorted(place.name for place in tmp_path.glob("model_epoch_*"))
    assert kept == ["model_epoch_00002.pt", "model_epoch_00004.pt"]
    assert torch.load(tmp_path / kept[1], weights_only=True)["bias"].item() == 4
    again = Engine(lambda _, batch: None)
    TrainingCheckpoint(tmp_path, {"network": network}, network, resume=False, keep_interval=1).attach(again)
    again.run([0], max_epochs=1)  # its own may be replaced
    (tmp_path / "model_epoch_00003.pt").write_text("mine")
    mine = Engine(lambda _, batch: None)
    TrainingCheckpoint(tmp_path, {"network": network}, network, resume=False, keep_interval=1).attach(mine)
    with pytest.raises(InputError, match="model_epoch_00003.pt: is there already and was not written"):
        mine.run([0], max_epochs=1)
    assert (tmp_path / "model_epoch_00003.pt").read_text() == "mine"


def trained(folder: Path, losses: dict[int, float], epochs: int, resume: bool = True) -> torch.nn.Module:
    """Train a network whose bias is the epoch, with validations of these losses after these epochs."""
    network, validator = torch.nn.Linear(1, 1), Engine(lambda _, batch: batch)
    validator.state.key_metric_name = "val_loss"
    engine = Engine(lambda _, batch: network.bias.data.fill_(engine.state.epoch))

    def validate(engine: Engine) -> None:
        if engine.state.epoch in losses:
            validator.run([0])
            validator.state.metrics = {"val_loss": losses[engine.state.epoch]}

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    TrainingCheckpoint(folder, {"network": network}, network, validator, resume=resume).attach(engine)
    engine.run([0], max_epochs=epochs)
    return network


def epoch_in(path: Path) -> float:
    return torch.load(path, weights_only=True)["bias"].item()


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({1: 0.5, 2: math.nan, 3: 0.9, 4: 0.8}, 1),
        ({1: math.nan, 2: 0.7, 3: 0.9}, 2),
        ({1: 0.5, 2: 0.4, 3: 0.4}, 2),
        ({1: math.nan, 2: math.nan}, 4),
        ({}, 4),
    ],
    ids=["NaN later", "NaN first", "numbers", "NaN alone", "no validation"],
)
def test_the_best_weights_are_of_the_lowest_number_else_the_last(tmp_path, losses, best):
    trained(tmp_path, losses, 4)
    assert epoch_in(tmp_path / "model.pt") == best and epoch_in(tmp_path / "model_last.pt") == 4


def test_the_last_epoch_stands_in_only_until_one_is_validated(tmp_path):
    for losses, epochs, best in (({}, 2, 2), ({}, 3, 3), ({4: 9.0}, 5, 4), ({}, 6, 4)):
        trained(tmp_path, losses, epochs)
        assert epoch_in(tmp_path / "model.pt") == best


def test_a_best_that_was_nan_is_beaten(tmp_path):
    """Earlier versions took NaN for the best, which no later epoch went below."""
    trained(tmp_path, {1: 0.5}, 1)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(content | {"best": {"value": math.nan, "epoch": 1}}, tmp_path / "checkpoint.pt")
    trained(tmp_path, {2: 0.7}, 2)
    assert epoch_in(tmp_path / "model.pt") == 2


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_begins_anew_leaves_no_old_weights(tmp_path, resume):
    """With --resume false, or without a checkpoint; what a resumed one goes on from stays."""
    trained(tmp_path, {1: 0.5}, 1)
    (tmp_path / "mine.pt").write_text("mine")
    if resume:
        (tmp_path / "checkpoint.pt").unlink()
    engine, network = Engine(lambda _, batch: batch), torch.nn.Linear(1, 1)
    found: list[list[str]] = []
    TrainingCheckpoint(tmp_path, {"network": network}, network, resume=resume).attach(engine)
    engine.add_event_handler(
        Events.EPOCH_STARTED, lambda _: found.append(sorted(place.name for place in tmp_path.glob("*.pt")))
    )
    engine.run([0], max_epochs=1)
    assert found == [["mine.pt"]]
    trained(tmp_path, {}, 2)
    assert {"checkpoint.pt", "model.pt", "model_last.pt"} <= set(written_files(tmp_path) or {})


def test_weights_of_somebody_else_are_not_removed(tmp_path):
    (tmp_path / "model.pt").write_text("mine")
    with pytest.raises(InputError, match="model.pt: is there already and was not written"):
        trained(tmp_path, {}, 1, resume=False)
    assert (tmp_path / "model.pt").read_text() == "mine"

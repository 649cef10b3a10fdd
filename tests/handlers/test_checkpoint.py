# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import TrainingCheckpoint


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

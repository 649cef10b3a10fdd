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

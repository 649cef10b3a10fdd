# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from ignite.engine import Engine, Events

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

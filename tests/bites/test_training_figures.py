# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Figures that a training tells of itself: loss by noise level, contrast of the quick edit, the average's warm-up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bites.wiring import Built
from gaussian import scheduler
from ignite.engine import Engine, Events

from mededit_monai.handlers.ema import ExponentialMovingAverage
from mededit_monai.handlers.noise_level_loss import NoiseLevelLoss
from mededit_monai.handlers.quick_edit import QuickEdit, edit_scores
from mededit_monai.methods.editor import Edit
from mededit_monai.training.losses import Target


def by_level(batches: list[list[tuple[int, float]]], **settings) -> dict[str, float]:
    """The metrics of a validation on batches of (timestep, loss)."""
    prepare = SimpleNamespace(scheduler=scheduler(), timesteps=None)

    def step(engine, batch):
        prepare.timesteps = torch.tensor([t for t, _ in batch])
        losses = torch.tensor([loss for _, loss in batch]).view(-1, 1)
        return {"pred": losses, "label": Target(value=torch.zeros_like(losses))}

    validator = Engine(step)
    NoiseLevelLoss(lambda pred, label: (pred - label["value"]).mean(), prepare, **settings).attach(validator)
    validator.run(batches)
    return dict(validator.state.metrics)


def test_the_loss_of_each_fifth_of_the_levels():
    """Each has its own mean over all batches, and a level at an edge belongs to the part that it begins."""
    found = by_level([[(0, 1.0), (199, 3.0), (200, 10.0)], [(399, 20.0), (100, 5.0), (999, 7.0)]])
    assert found == pytest.approx({"val_loss_t0": 3.0, "val_loss_t200": 15.0, "val_loss_t800": 7.0})


def test_the_number_of_parts():
    found = by_level([[(0, 1.0), (499, 3.0), (500, 10.0)]], parts=2)
    assert found == pytest.approx({"val_loss_t0": 2.0, "val_loss_t500": 10.0})


def test_each_validation_begins_anew():
    prepare = SimpleNamespace(scheduler=scheduler(), timesteps=torch.tensor([0]))
    values = iter([4.0, 2.0])
    target = Target(value=torch.zeros(1))
    validator = Engine(lambda engine, batch: {"pred": torch.tensor([next(values)]), "label": target})
    NoiseLevelLoss(lambda pred, label: (pred - label["value"]).mean(), prepare).attach(validator)
    for wanted in (4.0, 2.0):
        validator.run([0])
        assert validator.state.metrics["val_loss_t0"] == wanted


SIDE = 24


def planes() -> dict[str, torch.Tensor]:
    """Two pairs: a lesion darker by 0.3 and a zone beside it brighter by 0.1; the second has no lesion."""
    lesion, zone, brain = (torch.zeros(2, 1, SIDE, SIDE) for _ in range(3))
    lesion[0, :, 10:14, 10:14], zone[0, :, 10:14, 14:18], brain[:, :, 2:22, 2:22] = 1, 1, 1
    prior = torch.linspace(0.4, 0.6, SIDE) * brain
    return {"prior": prior, "image": prior - 0.3 * lesion + 0.1 * zone, "brain": brain, "pathology": lesion}


def quick_edit(tmp_path, share: float, epochs: int = 1, **settings) -> dict[str, float]:
    """The metrics of an edit that makes a share of the true change."""
    case = planes()
    handler = QuickEdit(torch.nn.Conv2d(1, 1, 1), scheduler(), tmp_path, **settings)
    truth, brain = 2 * case["image"] - 1, case["brain"]

    class Partly:
        def region(self, brain, pathology):
            return pathology > 0

        def __call__(self, inputs, network, brain, pathology, seeds):
            image = inputs + share * (truth[: len(inputs)] - inputs)
            return Edit(image, self.region(brain, pathology), 1)

        edge = region

    handler.editor = Partly()
    validator = Engine(lambda engine, batch: None)
    handler.attach(validator)
    validator.run([{**case, "brain": brain}], max_epochs=epochs)
    return dict(validator.state.metrics)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_contrast_of_an_edit_is_the_share_of_the_lesion_that_it_shows(tmp_path, share):
    found = quick_edit(tmp_path, share)
    assert found["edit_contrast"] == pytest.approx(share, abs=1e-5)
    assert found["zone_error"] == pytest.approx((1 - share) * found["no_edit_zone_error"], abs=1e-6)
    # 16 pixels of 0.1 among the 20 x 20 of the brain less the lesion
    assert found["no_edit_zone_error"] == pytest.approx(16 * 0.1 / (400 - 16), rel=1e-5)
    assert [p.name for p in tmp_path.glob("*.png")] == ["epoch_0001.png"]


def test_an_epoch_without_an_edit_has_no_scores_of_one(tmp_path):
    """A training that was killed and goes on cannot know those of an earlier epoch, so the table is the same."""
    scores = {"edit_contrast", "zone_error", "no_edit_zone_error", "edit_gradient"}
    assert scores <= set(quick_edit(tmp_path / "two", 0.25, epochs=2, interval=2))
    assert not scores & set(quick_edit(tmp_path / "three", 0.25, epochs=3, interval=2))


def test_crops_of_volumes_are_shown_and_scored_where_most_lesion_is(tmp_path, monkeypatch):
    """The plane of the first has contrast 1 at that height and none at the others, where there is less lesion."""
    flat = planes()
    deep = {key: one[..., None].repeat(1, 1, 1, 1, 5) for key, one in flat.items()}
    deep["pathology"][..., [0, 1, 3, 4]] *= 0
    deep["pathology"][0, 0, 10, 10, 1] = 1
    deep["displaced"] = deep.pop("prior")
    shown = {}
    monkeypatch.setattr("mededit_monai.handlers.quick_edit.save_sheet", lambda stacks, *_: shown.update(stacks))
    handler = QuickEdit(torch.nn.Conv2d(1, 1, 1), scheduler(), tmp_path)
    truth = 2 * deep["image"] - 1

    class AtOneHeight:
        def __call__(self, inputs, network, brain, pathology, seeds):
            image = inputs.clone()
            image[..., 2] = truth[..., 2]
            return Edit(image, pathology > 0, 1)

        def edge(self, brain, pathology):
            return pathology > 0

    handler.editor = AtOneHeight()
    validator = Engine(lambda engine, batch: None)
    handler.attach(validator)
    validator.run([deep])
    assert validator.state.metrics["edit_contrast"] == pytest.approx(1, abs=1e-5)
    assert shown["truth"].shape == (2, SIDE, SIDE) and np.allclose(shown["truth"][0], flat["image"][0, 0])


def test_scores_are_means_over_the_cases_with_a_lesion():
    """Half of the change in one, all of it in the other; a third without lesion does not count."""
    case = {key: value[[0, 0, 1], 0].numpy() for key, value in planes().items()}
    case["truth"] = case.pop("image")
    share = np.array([0.5, 1.0, 0.0])[:, None, None]
    case |= {"edit": case["prior"] + share * (case["truth"] - case["prior"]), "region": case["pathology"]}
    found = edit_scores({**case, "zone": case["brain"]}, paired=True)
    assert found["edit_contrast"] == pytest.approx(0.75)
    assert "edit_contrast" not in edit_scores({**case, "zone": case["brain"]}, paired=False)


class OneWeight(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([100.0]))


def averaged(average: ExponentialMovingAverage, network: torch.nn.Module, iterations: int) -> list[float]:
    """The average after every iteration of a training whose weight is 100 in the first and 0 from then on."""
    found: list[float] = []

    def step(engine, batch):
        network.weight.data.fill_(100.0 if engine.state.iteration == 1 else 0.0)

    trainer = Engine(step)
    average.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: found.append(float(average.network.weight)))
    trainer.run(range(iterations))
    return found


def test_a_short_training_is_not_held_back_by_its_random_start():
    """The k-th of 100 decays that rise from 0 to 0.99 is (k - 1) / 100; at 0.99 at once 97 % would be left."""
    network = OneWeight()
    found = averaged(ExponentialMovingAverage(network, 0.99, 100), network, 4)
    assert found == pytest.approx([100.0, 1.0, 0.02, 0.0006], rel=1e-4)


def test_a_training_has_a_warm_up():
    """The average that train.yaml makes, with a weight in the place of the network."""
    handlers = Built(["train.yaml"], {}).written("train#handlers")
    (settings,) = [h for h in handlers if h["_target_"].endswith("ExponentialMovingAverage")]
    network = OneWeight()
    settings = {k: v for k, v in settings.items() if not k.startswith("_")} | {"network": network, "decay": 0.998}
    assert averaged(ExponentialMovingAverage(**settings), network, 5)[-1] < 0.01

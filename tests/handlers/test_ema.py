# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The averaged weights against the recursion written out: a ← d·a + (1−d)·w."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from mededit_monai.handlers import ExponentialMovingAverage


class OneWeight(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([100.0]))
        self.register_buffer("count", torch.tensor(0))


def averaged(decay: float, warmup: int, weights: list[float], epochs: int = 1) -> tuple[list[float], OneWeight]:
    """The average after every iteration of a training in which the weight takes the given values in turn."""
    network, found, values = OneWeight(), [], iter(weights)

    def step(engine, batch):
        network.weight.data.fill_(next(values))
        network.count += 1

    trainer = Engine(step)
    average = ExponentialMovingAverage(network, decay, warmup)
    average.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: found.append(float(average.network.weight)))
    trainer.run(range(len(weights) // epochs), max_epochs=epochs)
    assert float(network.weight) == weights[-1]  # the network in training keeps its own
    assert int(average.network.count) == len(weights)  # buffers are copied, not averaged
    return found, average.network


def by_hand(decays: list[float], weights: list[float]) -> list[float]:
    value, found = 100.0, []
    for decay, weight in zip(decays, weights):
        value = decay * value + (1 - decay) * weight
        found.append(value)
    return found


@pytest.mark.parametrize("epochs", [1, 2])
def test_warm_up_is_linear_from_zero(epochs):
    """Four warm-up iterations to 0.9: decays 0, 0.3, 0.6, 0.9, then 0.9 for good, whatever the epochs."""
    weights = [1.0, 5.0, -3.0, 8.0, 2.0, 2.0]
    found, _ = averaged(0.9, 4, weights, epochs)
    assert found == pytest.approx(by_hand([0, 0.3, 0.6, 0.9, 0.9, 0.9], weights), rel=1e-5)
    assert found[:3] == pytest.approx([1.0, 3.8, 1.08], rel=1e-5)


def test_decay_after_warm_up():
    weights = [float(k % 7) for k in range(200)]
    found, _ = averaged(0.98, 50, weights)
    decays = [min(0.98, 0.98 * k / 49) for k in range(200)]
    assert found == pytest.approx(by_hand(decays, weights), rel=1e-4)


@pytest.mark.parametrize("warmup", [0, 1])
def test_without_warm_up_the_random_start_still_has_no_share(warmup):
    found, _ = averaged(0.9, warmup, [1.0, 2.0, 3.0])
    assert found == pytest.approx([1.0, 1.1, 1.29], rel=1e-5)


def test_average_is_a_network_of_its_own_without_gradients():
    network = OneWeight()
    average = ExponentialMovingAverage(network).network
    assert average is not network and average.weight is not network.weight
    assert network.weight.requires_grad and not average.weight.requires_grad
    assert not average.training and float(average.weight) == 100.0


@pytest.mark.parametrize("decay", [1, -0.1, 1.5])
def test_refuses_a_decay_that_is_no_share(decay):
    with pytest.raises(ValueError, match=rf"\[0, 1\), got {decay}"):
        ExponentialMovingAverage(OneWeight(), decay)


def test_no_average_is_the_network_itself():
    network, trainer = OneWeight(), Engine(lambda engine, batch: None)
    average = ExponentialMovingAverage(network, decay=0)
    average.attach(trainer)
    trainer.run(range(2))
    assert average.network is network and float(network.weight) == 100.0

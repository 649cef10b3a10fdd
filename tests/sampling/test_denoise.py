# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The loop: who is called when, on the way down and up again."""

from __future__ import annotations

import pytest
import torch
from gaussian import scheduler

from mededit_monai.methods.editor import NetworkCalls
from mededit_monai.sampling.denoise import denoise
from mededit_monai.sampling.levels import evaluations, noise_levels, visits
from mededit_monai.sampling.sampler import Estimate, Sampler

LEVELS = noise_levels(scheduler(), 5)


class Logged(Sampler):
    """Adds 1 to x at every step, and writes down what happens."""

    def __init__(self, log: list[str], estimates: int = 1) -> None:
        super().__init__(LEVELS, lambda: torch.zeros(1))
        self.log, self.estimates = log, estimates

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        self.log.append(f"step {t} {s} from {float(x_t):g}")
        for number in range(1 if s < 0 else self.estimates):
            estimate(x_t, t if number == 0 else s)
        return x_t + 1

    def forget(self) -> None:
        self.log.append("forget")


def test_down_and_up_again():
    """Level 2 is reached, left upwards once, and reached again; x is counted in ones, tens and hundreds."""
    log: list[str] = []

    def compose(x: torch.Tensor, origin: int, target: int) -> torch.Tensor:
        log.append(f"compose {origin} {target} with {float(x):g}")
        return x + 10

    def climb(x: torch.Tensor, origin: int, target: int) -> torch.Tensor:
        log.append(f"climb {origin} {target} with {float(x):g}")
        return x + 100

    moves = [(4, 3), (3, 2), (2, 4), (4, 3), (3, -1)]
    x = denoise(torch.zeros(1), moves, Logged(log), lambda x_t, level: x_t, compose, climb)
    assert log == [
        "step 4 3 from 0",
        "compose 4 3 with 1",
        "step 3 2 from 11",
        "compose 3 2 with 12",
        "forget",  # before the move up: what was remembered no longer lies on the path
        "climb 2 4 with 22",
        "step 4 3 from 122",
        "compose 4 3 with 123",
        "step 3 -1 from 133",
        "compose 3 -1 with 134",
    ]
    assert float(x) == 144


def test_nothing_is_composed_unless_asked():
    log: list[str] = []
    x = denoise(torch.zeros(1), visits(5), Logged(log), lambda x_t, level: x_t)
    assert float(x) == 5 and log == [f"step {t} {t - 1} from {4 - t}" for t in range(4, -1, -1)]


@pytest.mark.parametrize("resample", [1, 3])
def test_a_sampler_may_ask_twice_a_step(resample):
    """Two evaluations a move down, one at the last: 2 ((levels - 1) U + 1) - 1; the second is at the level reached."""
    asked: list[int] = []

    def network(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        asked.append(int(timesteps[0]))
        return x

    moves, calls = visits(5, resample), NetworkCalls(network, LEVELS)
    denoise(torch.zeros(1, 1, 2, 2)[:, :, :1, :1], moves, Logged([], 2), calls, climb=lambda x, origin, target: x)
    assert calls.count == len(asked) == 2 * evaluations(moves) - 1 == 2 * (4 * resample + 1) - 1
    wanted = [level for t, s in moves if s < t for level in ((t,) if s < 0 else (t, s))]
    assert asked == [LEVELS.timesteps[level] for level in wanted]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What every editor does: portions of a batch, regions, seeds, and samplers by their name."""

from __future__ import annotations

from math import ceil

import pytest
import torch
from gaussian import scheduler

from mededit_monai.methods.editor import (
    NETWORK_BATCH,
    OVERLAP,
    WINDOW,
    WINDOW_MULTIPLE,
    Edit,
    Editor,
    NetworkCalls,
    window_side,
)
from mededit_monai.sampling.ddim import DDIM
from mededit_monai.sampling.levels import noise_levels
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.sampling.sampler import SAMPLERS, Estimate


class Sizes:
    """A network that remembers the sizes of its batches and the timesteps, and answers with twice its input."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[int]]] = []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.seen.append((len(x), timesteps.tolist()))
        return 2 * x


@pytest.mark.parametrize(("portion", "sizes"), [(2, [2, 2, 1]), (5, [5]), (1, [1] * 5)])
def test_a_network_is_asked_in_portions(portion, sizes):
    network, levels = Sizes(), noise_levels(scheduler(), 3)
    calls, x = NetworkCalls(network, levels, portion), torch.rand(5, 2, 4, 4)
    assert torch.equal(calls(x, 1), 2 * x)
    assert network.seen == [(size, [levels.timesteps[1]] * size) for size in sizes]
    assert calls.count == 1  # an evaluation of the whole batch, in however many portions


class Plain(Editor):
    """Denoises noise and gives it back in the lower half of the image."""

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        lower = torch.zeros_like(brain, dtype=torch.bool)
        lower[..., brain.shape[-1] // 2 :] = True
        return lower

    def edit(self, prior, calls, brain, pathology, region, seeds) -> Edit:
        noise = CaseNoise(seeds, prior)
        image = self.denoise(noise(), noise, lambda x, level: calls(x, level) / 4)
        return Edit(torch.where(region, image, prior), region, calls.count, {"seeds": seeds})


def case(count: int) -> dict[str, torch.Tensor]:
    return {"inputs": torch.zeros(count, 1, 4, 4), "brain": torch.ones(count, 1, 4, 4), "pathology": torch.ones(1)}


def test_the_region_is_the_methods_own_or_the_one_given():
    editor, limit = Plain(scheduler(), steps=3), torch.zeros(2, 1, 4, 4)
    limit[..., :1] = 1
    own, given = editor(network=Sizes(), **case(2)), editor(network=Sizes(), region=limit, **case(2))
    assert torch.equal(own.image != 0, own.region) and own.region.sum() == 2 * 4 * 2 and own.evaluations == 3
    assert torch.equal(given.image != 0, limit > 0) and torch.equal(given.region, limit > 0)
    assert torch.equal(editor.edge(limit, limit), editor.region(limit, limit))


def test_seeds_are_drawn_where_none_are_given():
    editor = Plain(scheduler(), steps=2)
    torch.manual_seed(0)
    first, second = (editor(network=Sizes(), **case(2)) for _ in range(2))
    assert len({*first.extras["seeds"], *second.extras["seeds"]}) == 4
    again = editor(network=Sizes(), seeds=first.extras["seeds"], **case(2))
    assert torch.equal(again.image, first.image) and not torch.equal(second.image, first.image)


def test_exact_runs_are_one_case_at_a_time():
    network, many = Sizes(), NETWORK_BATCH + 1
    Plain(scheduler(), steps=1)(network=network, **case(many))
    assert [size for size, _ in network.seen] == [NETWORK_BATCH, 1]
    network.seen.clear()
    Plain(scheduler(), steps=1, exact=True)(network=network, **case(3))
    assert [size for size, _ in network.seen] == [1, 1, 1]


class Twice(DDIM):
    """DDIM, after an estimate that it does nothing with."""

    evaluations = 2

    def step(self, estimate: Estimate, x_t: torch.Tensor, t: int, s: int) -> torch.Tensor:
        estimate(x_t, t)
        return super().step(estimate, x_t, t, s)


def test_a_sampler_is_found_by_its_name(monkeypatch):
    SAMPLERS.names()
    monkeypatch.setitem(SAMPLERS._entries, "twice", Twice)
    plain, twice = (Plain(scheduler(), steps=4, sampler=name) for name in ("ddim", "twice"))
    edits = [editor(network=Sizes(), seeds=[5], **case(1)) for editor in (plain, twice)]
    assert torch.equal(edits[0].image, edits[1].image) and [edit.evaluations for edit in edits] == [4, 8]


@pytest.mark.parametrize("length", [16, 96, 97, 112, 128, 144, 160, 176, 192, 256, 400])
def test_windows_are_few_and_no_larger_than_needed(length):
    side, most = window_side(length), min(length, WINDOW)

    def count(side: int) -> int:
        return ceil((length - side) / (side * (1 - OVERLAP))) + 1

    assert side <= most and count(side) == count(most)
    smaller = side - WINDOW_MULTIPLE
    assert length <= WINDOW or side % WINDOW_MULTIPLE == 0 and count(smaller) > count(side)

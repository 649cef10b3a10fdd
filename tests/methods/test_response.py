# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The region that a network responds in, for networks whose response is known."""

from __future__ import annotations

import pytest
import torch
from gaussian import scheduler

from mededit_monai.methods.build import build_editor
from mededit_monai.methods.response import LEVELS, response_map, response_region

SHARP = 1e-3  # a Gaussian narrower than a pixel changes nothing


def place(*blocks: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, 1, 24, 24)
    for top, bottom, left, right in blocks:
        mask[..., top:bottom, left:right] = 1
    return mask


LESION, BRAIN = place((8, 12, 8, 12)), place((2, 22, 2, 22))


class Responds:
    """x̂0 = 0 without lesion; with one, ``strength`` times ``where``."""

    def __init__(self, where: torch.Tensor) -> None:
        self.where, self.calls = where, 0

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        asked = x[:, 2:].amax(dim=(1, 2, 3))
        return asked.view(-1, 1, 1, 1) * self.where.expand(len(x), -1, -1, -1)


def test_the_map_is_the_difference_of_the_estimates():
    network = Responds(-0.3 * place((8, 12, 8, 20)))
    prior = torch.zeros(2, 1, 24, 24)
    found, evaluations = response_map(
        network, scheduler("sample"), prior, BRAIN.repeat(2, 1, 1, 1), LESION.repeat(2, 1, 1, 1), [1, 2]
    )
    assert torch.allclose(found, 0.3 * place((8, 12, 8, 20)).repeat(2, 1, 1, 1))
    assert evaluations == network.calls == 2 * len(LEVELS)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_map_does_not_depend_on_the_parametrisation(kind):
    wanted = -0.3 * place((8, 12, 8, 20))

    def network(x, timesteps):
        alpha_bar = scheduler().alphas_cumprod[timesteps[0]]
        clean = x[:, 2:3].amax() * wanted
        noise = (x[:, :1] - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        return noise if kind == "epsilon" else alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean

    found, _ = response_map(network, scheduler(kind), torch.zeros(1, 1, 24, 24), BRAIN, LESION, [1])
    assert torch.allclose(found, -wanted, atol=2e-5)


def test_the_region_is_where_the_response_is_strong_and_touches_the_lesion():
    response = (
        0.5 * LESION + 0.2 * place((8, 12, 12, 18)) + 0.01 * place((12, 16, 8, 12)) + 0.5 * place((18, 20, 18, 20))
    )
    region = response_region(response, BRAIN, LESION, share=0.2, smoothing=SHARP)
    assert torch.equal(region.float(), place((8, 12, 8, 18)))  # not the weak part, not the piece far away


def test_it_is_united_with_the_lesion_filled_and_capped():
    ring = place((6, 16, 6, 16)) - place((12, 15, 12, 15))
    response = 0.5 * ring * (1 - LESION) + 0.6 * place((8, 9, 8, 9))
    region = response_region(response, BRAIN, LESION, share=0.2, smoothing=SHARP)
    assert torch.equal(region.float(), place((6, 16, 6, 16)))
    capped = response_region(torch.ones(1, 1, 24, 24), BRAIN, LESION, share=0.2, smoothing=SHARP, reach=5)
    assert torch.equal(capped.float(), place((6, 14, 6, 14)))
    inside = response_region(torch.ones(1, 1, 24, 24), BRAIN, LESION, share=0.2, smoothing=SHARP)
    assert torch.equal(inside.float(), BRAIN)


def test_without_a_response_it_is_the_lesion():
    region = response_region(torch.zeros(1, 1, 24, 24), BRAIN, LESION)
    assert torch.equal(region.float(), LESION)


def test_mededit_edits_where_the_network_responds():
    network, prior = Responds(-0.3 * place((8, 12, 8, 18))), torch.full((2, 1, 24, 24), 0.4)
    brain, lesion = BRAIN.repeat(2, 1, 1, 1), LESION.repeat(2, 1, 1, 1)
    editor = build_editor("mededit", scheduler("sample"), region="auto", steps=5, resample=1)
    edit = editor(prior, network, brain, lesion, seeds=[1, 2])
    assert edit.evaluations == network.calls == 5 + 2 * len(LEVELS)
    both, found = edit.image, edit.region
    assert found[:, 0, 8:12, 8:18].all() and found.sum() < 2 * 13 * 19  # smoothing reaches 4.5 pixels farther
    assert torch.equal(both[~found], prior[~found]) and (both[found] != prior[found]).all()
    assert torch.equal(editor(prior[1:], network, brain[1:], lesion[1:], seeds=[2]).image, both[1:])
    limited = editor(prior, network, brain, lesion, region=lesion, seeds=[1, 2])
    assert torch.equal(limited.region.float(), lesion)  # a given region limits it
    drawn = build_editor("mededit", scheduler("sample"), steps=5, resample=1)(prior, network, brain, lesion)
    assert drawn.evaluations == 5 and torch.equal(drawn.region.float(), brain)  # dilate(p, 25) covers the brain


@pytest.mark.parametrize("exact, most", [(True, 1), (False, 32)])
def test_the_network_is_asked_for_the_region_as_for_the_edit(exact, most):
    """One case at a time, or so many that memory does not grow with a volume's slices."""
    asked = []

    def network(x, timesteps):
        asked.append(len(x))
        return Responds(-0.3 * LESION)(x, timesteps)

    brain, lesion = (one.repeat(40, 1, 1, 1) for one in (BRAIN, LESION))
    editor = build_editor("mededit", scheduler("sample"), region="auto", steps=2, resample=1, exact=exact)
    edit = editor(torch.zeros(40, 1, 24, 24), network, brain, lesion, seeds=list(range(40)))
    assert max(asked) == most and sum(asked) == 40 * edit.evaluations


def test_the_region_is_found_in_half_precision():
    with torch.autocast("cpu", torch.bfloat16):
        found = response_region(0.3 * LESION, BRAIN, LESION)
    assert torch.equal(found, response_region(0.3 * LESION, BRAIN, LESION))


@pytest.mark.parametrize("strength, belongs", [(0.2, True), (0.12, True), (0.08, False), (0.05, False)])
def test_a_tenth_of_the_response_inside_the_lesion_belongs_to_its_region(strength, belongs):
    """A neighbour that answers a fifth as strongly as the lesion is part of what it does; a twentieth is not."""
    beside = place((8, 12, 12, 18))
    region = response_region(LESION + strength * beside, BRAIN, LESION, smoothing=SHARP)
    assert torch.equal(region.float(), torch.maximum(LESION, beside) if belongs else LESION)

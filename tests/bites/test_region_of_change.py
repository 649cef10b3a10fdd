# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The region of change, in training and in editing: the lesion belongs to it, whatever it does to the intensity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import scheduler

from mededit_monai.methods.build import build_editor
from mededit_monai.methods.change import CHANGE_SCALE, change_weight, changed_region, scaled_change
from mededit_monai.methods.response import response_region
from mededit_monai.training.prior_batch import PriorPrepareBatch

SIDE = 24


def block(top: int, bottom: int, left: int, right: int, side: int = SIDE) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., top:bottom, left:right] = 1
    return mask


LESION, BRAIN = block(8, 12, 8, 12), block(2, 22, 2, 22)


def target(image: torch.Tensor, prior: torch.Tensor, lesion: torch.Tensor = LESION) -> torch.Tensor:
    """The region of change that a pair is trained on."""
    case = {"image": image, "prior": prior, "brain": BRAIN, "pathology": lesion, "seed": torch.tensor([0])}
    return PriorPrepareBatch(scheduler("sample"))(case)[1]["region"]


def test_a_lesion_that_leaves_the_intensity_alone_is_trained_as_a_change():
    same = torch.full((1, 1, SIDE, SIDE), 0.5)
    assert torch.equal(target(same, same), LESION)


def test_what_changed_beside_the_lesion_is_trained_as_well():
    """A bulge that the lesion does not touch; a twentieth of the range changes, a fiftieth does not count."""
    prior, bulge = torch.full((1, 1, SIDE, SIDE), 0.5), block(16, 20, 14, 20)
    image = prior - 0.05 * bulge - 0.015 * block(2, 6, 14, 20)
    assert torch.equal(target(image, prior), torch.maximum(LESION, bulge))


def shown(gate: torch.Tensor, lesion: torch.Tensor = LESION, limit: torch.Tensor = BRAIN) -> torch.Tensor:
    return change_weight(gate, lesion, limit)[0, 0]


def test_the_lesion_is_edited_where_the_gate_is_closed():
    weight = shown(torch.zeros(1, 1, SIDE, SIDE))
    assert (weight[LESION[0, 0] > 0] == 1).all()
    nothing = shown(torch.zeros(1, 1, SIDE, SIDE), torch.zeros_like(LESION))
    assert not nothing.any()


def test_the_change_fades_out_over_two_pixels():
    """Along a row from the lesion: 1, 2/3, 1/3, 0; diagonally √2 pixels away 1 - √2/3."""
    weight = shown(torch.zeros(1, 1, SIDE, SIDE))
    assert weight[9, 11:16].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0, 0], abs=1e-6)
    assert float(weight[12, 12]) == pytest.approx(1 - 2**0.5 / 3, abs=1e-6)


def test_specks_of_the_gate_are_dropped_and_pieces_are_not():
    """Five pixels away from the lesion are noise, six are a change; what touches the lesion counts at any size."""
    five, six, beside = block(16, 17, 14, 19), block(16, 17, 14, 20), block(8, 9, 12, 14)
    lesion = LESION[0, 0]
    assert torch.equal((shown(five) == 1).float(), lesion)
    assert torch.equal((shown(six) == 1).float(), torch.maximum(lesion, six[0, 0]))
    touching = shown(torch.maximum(beside, block(9, 12, 11, 12)))  # reaches into the lesion by a column
    assert torch.equal((touching == 1).float(), torch.maximum(lesion, beside[0, 0]))


def test_every_piece_is_weighed_by_itself():
    """A piece of nine pixels stays, and two specks of three, which together have six, go."""
    large, specks = block(16, 19, 4, 7), torch.maximum(block(4, 5, 4, 7), block(4, 5, 14, 17))
    found = (shown(torch.maximum(large, specks)) == 1).float()
    assert torch.equal(found, torch.maximum(LESION, large)[0, 0])
    assert torch.equal((shown(specks) == 1).float(), LESION[0, 0])


def test_the_scaled_change_added_to_the_scan_is_the_image():
    image, prior = torch.tensor([[[[0.4, -1.0, 1.0]]]]), torch.tensor([[[[-0.2, -1.0, 0.5]]]])
    assert torch.allclose(prior + CHANGE_SCALE * scaled_change(image, prior), image)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_fiftieth_of_the_range_is_where_a_change_begins(sign):
    """In [-1, 1] that is 0.04, whatever the intensity below it."""
    prior = torch.full((1, 1, SIDE, SIDE), -0.6)
    assert torch.equal(changed_region(prior + sign * 0.045 * LESION, prior).float(), LESION)
    assert not changed_region(prior + sign * 0.035 * LESION, prior).any()


def test_an_open_gate_is_one_above_a_half():
    six = block(16, 17, 14, 20)
    assert not (shown(0.5 * six)[16, 14:20] == 1).any()
    assert (shown(0.51 * six)[16, 14:20] == 1).all()


def test_nothing_is_changed_outside_the_limit():
    weight = shown(torch.ones(1, 1, SIDE, SIDE))
    assert torch.equal((weight > 0).float(), BRAIN[0, 0])


def test_a_gap_of_a_change_is_closed():
    image, prior = torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
    image += 0.1 * (block(4, 10, 4, 10) - block(6, 7, 6, 7))
    assert torch.equal(changed_region(image, prior).float(), block(4, 10, 4, 10))


class Shut:
    """A network that predicts a strong change, and that there is none: its gate is at σ(-2) = 0.12 everywhere."""

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(x[:, 0], -0.5), torch.full_like(x[:, 0], -2.0)], dim=1)


def test_an_editor_edits_the_lesion_even_where_the_network_sees_no_change():
    """σ(-2) · (-0.5) · s is added in the lesion, two thirds of it a pixel away, and nothing from three pixels on."""
    prior = torch.full((1, 1, SIDE, SIDE), 0.25)
    editor = build_editor("prior", scheduler("sample"), "mask", steps=1)
    edit = editor(prior, Shut(), BRAIN, LESION, seeds=[0])
    change = -0.5 * CHANGE_SCALE / (1 + np.exp(2))
    row = (edit.image - prior)[0, 0, 9, 11:16].tolist()
    assert row == pytest.approx([change, change * 2 / 3, change / 3, 0, 0], abs=1e-6)
    assert edit.region[LESION > 0].all()
    assert torch.equal(edit.image[~edit.region], prior[~edit.region])


def test_a_box_says_where_to_look_and_not_where_the_lesion_is():
    prior = torch.full((1, 1, SIDE, SIDE), 0.25)
    editor = build_editor("prior", scheduler("sample"), "box", steps=1)
    assert torch.equal(editor(prior, Shut(), BRAIN, LESION, seeds=[0]).image, prior)


@pytest.mark.parametrize("strength, belongs", [(0.2, True), (0.12, True), (0.08, False), (0.05, False)])
def test_a_tenth_of_the_response_inside_the_lesion_belongs_to_its_region(strength, belongs):
    """A neighbour that answers a fifth as strongly as the lesion is part of what it does; a twentieth is not."""
    beside = block(8, 12, 12, 18)
    region = response_region(LESION + strength * beside, BRAIN, LESION, smoothing=1e-3)
    assert torch.equal(region.float(), torch.maximum(LESION, beside) if belongs else LESION)


def test_pathology_of_several_channels_is_one_lesion():
    parts = torch.cat([block(8, 10, 8, 12), block(10, 12, 8, 12), torch.zeros_like(LESION)], dim=1)
    closed = torch.zeros(1, 1, SIDE, SIDE)
    assert torch.equal(change_weight(closed, parts, BRAIN), change_weight(closed, LESION, BRAIN))

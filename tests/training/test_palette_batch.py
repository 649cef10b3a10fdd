# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette's training samples, worked out by hand on images of four pixels."""

from __future__ import annotations

import pytest
import torch
from gaussian import ALPHA_BAR, scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import network_named
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.training.losses import DenoisingLoss, Target, region_weight
from mededit_monai.training.palette_batch import OriginalPalettePrepareBatch, PalettePrepareBatch

SEED = 2**62 + 3


def plane(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def case(*seeds: int) -> dict[str, torch.Tensor]:
    """Scan 0, 1, ½, ¼; the lesion is the left column, of which the brain has the upper pixel."""
    one = {
        "image": plane([0.0, 1.0], [0.5, 0.25]),
        "brain": plane([1.0, 1.0], [0.0, 1.0]),
        "pathology": plane([1.0, 0.0], [1.0, 0.0]),
    }
    seeds = seeds or (SEED,)
    return {key: value.repeat(len(seeds), 1, 1, 1) for key, value in one.items()} | {"seed": torch.tensor(seeds)}


HOLE = torch.tensor([[True, False], [False, False]])
SCAN = torch.tensor([[-1.0, 1.0], [0.0, -0.5]])


def seen(family: str, batchdata: dict, **settings) -> tuple[torch.Tensor, Target, torch.Tensor, int]:
    """What the network is shown, target, its prediction's loss where it answers 0, and t."""
    diffusion, shown = scheduler("v_prediction"), {}

    def network(x, timesteps, context=None):
        shown["x"] = x
        return torch.zeros_like(x[:, :1])

    record = network_named(family)
    image, target, rest, keywords = record.batch(diffusion, **settings)(batchdata)
    prediction = record.noising(scheduler=diffusion)(image, network, *rest, **keywords)
    return shown["x"], target, DenoisingLoss()(prediction, target), int(keywords["timesteps"][0])


def by_hand(t: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noised scan, velocity and the noise in the hole."""
    draw, a = CaseNoise([SEED], plane([0.0, 0.0], [0.0, 0.0])), float(ALPHA_BAR[t])
    noise, filling = draw()[0, 0], draw()[0, 0]
    return a**0.5 * SCAN + (1 - a) ** 0.5 * noise, a**0.5 * noise - (1 - a) ** 0.5 * SCAN, filling


def test_the_thesis_variant():
    """x_t is noisy everywhere, and so counts everything."""
    x, target, loss, t = seen("palette", case())
    x_t, velocity, filling = by_hand(t)
    assert torch.allclose(x[0, 0], x_t, atol=1e-6)
    assert torch.equal(x[0, 1], torch.where(HOLE, filling, SCAN))
    assert torch.allclose(target["value"][0], velocity[None], atol=1e-6) and set(target) == {"value"}
    assert float(loss) == pytest.approx(float((velocity**2).mean()), rel=1e-5)


def test_the_original_variant():
    """x_t is the clean scan outside the hole; one of four pixels counts, by √4."""
    x, target, loss, t = seen("palette_original", case())
    x_t, velocity, filling = by_hand(t)
    assert torch.allclose(x[0, 0], torch.where(HOLE, x_t, SCAN), atol=1e-6)
    assert torch.equal(x[0, 0][~HOLE], SCAN[~HOLE])
    assert torch.equal(x[0, 1], torch.where(HOLE, filling, SCAN))
    assert torch.equal(target["weight"][0, 0], torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    assert float(loss) == pytest.approx(2 * float(velocity[0, 0]) ** 2 / 4, rel=1e-5)


def test_other_weights_multiply():
    """(1 + lesion weight) in the lesion, for the original in the hole alone."""
    _, plain, *_ = seen("palette", case(), lesion_weight=3.0)
    assert torch.equal(plain["weight"][0, 0], torch.tensor([[4.0, 1.0], [4.0, 1.0]]))
    _, original, *_ = seen("palette_original", case(), lesion_weight=3.0)
    assert torch.equal(original["weight"][0, 0], torch.tensor([[8.0, 0.0], [0.0, 0.0]]))


def test_region_weights():
    """√(all / region's), nothing outside, nothing for an empty region."""
    regions = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool).view(4, 1, 2, 2)
    wanted = torch.tensor([[2, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [2**0.5, 2**0.5, 0, 0]]).view(4, 1, 2, 2)
    assert torch.allclose(region_weight(regions), wanted)


def corners(*seeds: int) -> dict[str, torch.Tensor]:
    """Two lesion pixels that touch at a corner: their box has two more."""
    data = case(*seeds)
    data["pathology"][:] = torch.eye(2)
    data["brain"][:] = 1
    return data


def test_boxes_are_holes_too():
    prepare = OriginalPalettePrepareBatch(scheduler(), condition="box")
    assert prepare(corners())[3]["hole"].all()
    assert torch.equal(OriginalPalettePrepareBatch(scheduler())(corners())[3]["hole"][0, 0], torch.eye(2) > 0)


def test_both_kinds_of_hole_are_drawn_by_the_case():
    """Half each; the same in another batch; in a validation that of the condition."""
    seeds = list(range(400))
    prepare = OriginalPalettePrepareBatch(scheduler(), hole="both")
    boxes = prepare(corners(*seeds))[3]["hole"].flatten(1).all(1)
    assert 160 < int(boxes.sum()) < 240
    again = prepare(corners(*seeds[100:90:-1]))[3]["hole"].flatten(1).all(1)
    assert torch.equal(again, boxes[90 + 1 : 101].flip(0))
    for condition, all_boxes in (("mask", False), ("box", True)):
        validation = OriginalPalettePrepareBatch(scheduler(), condition=condition, hole="both", even=True)
        _, target, _, keywords = validation(corners(1, 2, 3, 4))
        assert torch.equal(keywords["hole"].flatten(1).all(1), torch.full((4,), all_boxes))
        assert keywords["timesteps"].tolist() == [125, 375, 625, 875]
        again = validation(corners(1, 2, 3, 4))[1]
        assert all(torch.equal(again[name], target[name]) for name in ("value", "weight"))


def test_noise_belongs_to_the_case():
    prepare = PalettePrepareBatch(scheduler(), hole="both")
    *_, three = prepare(case(7, SEED, 9))
    *_, two = prepare(case(9, 7))
    for key in ("noise", "timesteps", "condition"):
        assert torch.equal(two[key], three[key][[2, 0]]), key


def test_refuses():
    with pytest.raises(InputError, match="--condition: got 'regions', but Palette is not told of regions"):
        PalettePrepareBatch(scheduler(), condition="regions")
    with pytest.raises(InputError, match="--hole: got 'circle', wanted one of mask, box, both"):
        PalettePrepareBatch(scheduler(), hole="circle")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Vectors turn with the images: the displaced image of a turned case is the turned displaced image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mededit_monai.space.flow import pull
from mededit_monai.training.moved_cases import halved
from mededit_monai.training.vectors import RandAffineVectorsd, RandFlipVectorsd, rotation


def smooth(size: tuple[int, ...]) -> torch.Tensor:
    """A smooth blob off the middle, 1xS."""
    grids = torch.meshgrid(*[torch.linspace(-1, 1, side) for side in size], indexing="ij")
    away = sum(((grid - m) / 0.35) ** 2 for grid, m in zip(grids, (0.1, -0.15, 0.05)))
    return torch.exp(-away)[None]


def bump(size: tuple[int, ...], vector: tuple[float, ...]) -> torch.Tensor:
    """A displacement that points along a vector and fades out, nxS, in pixels."""
    return smooth(size) * torch.tensor(vector).view(-1, *[1] * len(size))


def ball(size: tuple[int, ...]) -> torch.Tensor:
    """What fills a box to its faces but for two pixels, as a brain that was cut out does; 1xS."""
    grids = torch.meshgrid(*[torch.linspace(-1, 1, side) * side / (side - 4) for side in size], indexing="ij")
    return (sum(grid**2 for grid in grids) < 1).float()[None]


@pytest.mark.parametrize("size", [(80, 100), (40, 52, 44)])
def test_a_brain_that_was_cut_out_keeps_all_of_itself(size):
    """Cut to its brain, a case has two pixels to turn in; with room it is what an uncut one would be."""
    n = len(size)
    case = {"prior": ball(size), "taper": halved(ball(size)), "displacement": bump(size, (2.0, -1.5, 1.0)[:n])}
    wide = {
        key: torch.nn.functional.pad(one, [16 if one.shape[1:] == size else 8] * 2 * n) for key, one in case.items()
    }
    given, lost = {"images": ["prior", "taper"], "prob": 1.0}, 0.0
    for seed in range(4):
        cut, roomy, uncut = (RandAffineVectorsd(**given, room=room) for room in (0, 16, 0))
        for one in (cut, roomy, uncut):
            one.set_random_state(seed)
        found, wanted = roomy(case), uncut(wide)
        for key, one in wanted.items():
            assert found[key].shape == one.shape and torch.allclose(found[key], one, atol=1e-4), key
        faces = [found["prior"].select(axis, end).max() for axis in range(1, n + 1) for end in (0, -1)]
        assert max(faces) == 0
        lost += float(found["prior"].sum() - cut(case)["prior"].sum())
    assert lost > 1


def test_room_ends_at_the_canvas():
    case = {"prior": ball((80, 98)), "taper": halved(ball((80, 98)))}
    found = RandAffineVectorsd(["prior", "taper"], prob=1.0, room=16, most=(96, 128))(case)
    assert found["prior"].shape == (1, 96, 126) and found["taper"].shape == (1, 48, 63)
    assert RandAffineVectorsd(["prior"], prob=1.0, room=16, most=(64, 98))(case)["prior"].shape == (1, 80, 98)


CASES = [((48, 64), (3.0, -1.5)), ((32, 40, 36), (2.0, -1.5, 1.0))]


@pytest.mark.parametrize("size, vector", CASES)
def test_flipping_twice_is_nothing_and_once_is_the_flipped_displaced_image(size, vector):
    flip = RandFlipVectorsd(["prior"], prob=1.0)
    case = {"prior": smooth(size), "displacement": bump(size, vector), "case_id": "a"}
    once = flip(case)
    twice = flip(once)
    assert torch.equal(twice["prior"], case["prior"]) and torch.equal(twice["displacement"], case["displacement"])
    assert once["case_id"] == "a" and torch.equal(once["displacement"][1:], case["displacement"][1:].flip(1))
    wanted = pull(case["prior"][None], case["displacement"][None]).flip(2)
    found = pull(once["prior"][None], once["displacement"][None])
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (wanted - once["prior"][None]).abs().max() > 0.1  # it does move


@pytest.mark.parametrize("size, vector", CASES)
def test_an_affine_map_takes_the_displaced_image_along(size, vector):
    """pull(in', u') = (pull(in, u))' for in' = in∘T, u' = T⁻¹ u∘T."""
    n = len(size)
    transform = RandAffineVectorsd(["prior"], prob=1.0)
    linear = rotation([0.25] if n == 2 else [0.2, -0.15, 0.25]) @ np.diag([1.1, 0.9, 1.05][:n])
    case = {"prior": smooth(size), "displacement": bump(size, vector)}
    displaced = {"prior": pull(case["prior"][None], case["displacement"][None])[0]}
    moved = transform.moved(case, linear, np.array([1.5, -2.0, 1.0][:n]))
    wanted = transform.moved(displaced, linear, np.array([1.5, -2.0, 1.0][:n]))["prior"]
    found = pull(moved["prior"][None], moved["displacement"][None])[0]
    middle = tuple(slice(side // 6, -(side // 6)) for side in size)
    off = (found - wanted)[(0, *middle)].abs().max()
    unturned = (
        (
            pull(
                moved["prior"][None],
                transform.moved(
                    {"prior": moved["prior"], "displacement": case["displacement"]}, np.eye(n), np.zeros(n)
                )["displacement"][None],
            )[0]
            - wanted
        )[(0, *middle)]
        .abs()
        .max()
    )
    assert off < 0.03 < unturned / 2


def test_rotation_of_vectors_in_closed_form():
    """A constant field of (1, 0), images sampled under a turn by 90°: T⁻¹ (1, 0) = (0, -1)."""
    case = {"prior": torch.zeros(1, 8, 8), "displacement": torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(2, 8, 8)}
    case["prior"][0, 6, 3] = 1
    moved = RandAffineVectorsd(["prior"], prob=1.0).moved(case, rotation([np.pi / 2]), np.zeros(2))
    assert torch.allclose(moved["displacement"], torch.tensor([0.0, -1.0]).view(2, 1, 1).expand(2, 8, 8), atol=1e-5)
    # (6, 3) lies (2.5, -0.5) from the middle; it is seen at T⁻¹ of that, (-0.5, -2.5)
    assert moved["prior"][0, 3, 1] == pytest.approx(1, abs=1e-4)


def test_scaling_shortens_vectors():
    case = {"prior": torch.zeros(1, 8, 8), "displacement": torch.ones(2, 8, 8)}
    moved = RandAffineVectorsd(["prior"], prob=1.0).moved(case, np.diag([2.0, 1.0]), np.zeros(2))
    assert torch.allclose(moved["displacement"][:, 4, 4], torch.tensor([0.5, 1.0]), atol=1e-6)


def test_rotations_in_space_are_scipys():
    found = rotation([0.3, -0.4, 0.5])
    assert np.allclose(found, Rotation.from_euler("xyz", [0.3, -0.4, 0.5]).as_matrix())


def test_half_of_the_grid_stays_over_the_whole():
    """A case whose displacement is on half of the grid turns like one on all of it."""
    size = (48, 64)
    case = {"prior": smooth(size), "displacement": bump(size, (3.0, -1.5))}
    transform, linear, shift = RandAffineVectorsd(["prior"], prob=1.0), rotation([0.3]), np.array([2.0, -3.0])
    whole = halved(transform.moved(case, linear, shift)["displacement"])
    half = transform.moved(case | {"displacement": halved(case["displacement"])}, linear, shift)["displacement"]
    assert torch.allclose(half, whole, atol=0.05) and half.abs().max() > 2


def test_labels_stay_whole_and_draws_are_seeded():
    transform = RandAffineVectorsd(["prior"], labels=["regions"], prob=1.0)
    case = {"prior": smooth((32, 32)), "regions": (smooth((32, 32)) > 0.5).float() * 3}
    results = []
    for _ in range(2):
        transform.set_random_state(seed=3)
        results.append(transform(case))
    assert torch.equal(results[0]["regions"], results[1]["regions"])
    assert set(results[0]["regions"].unique().tolist()) == {0.0, 3.0}
    assert not torch.equal(results[0]["regions"], case["regions"])
    transform.prob = 0.0
    assert torch.equal(transform(case)["regions"], case["regions"])

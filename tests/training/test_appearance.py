# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Random appearance: the same for both scans of a pair, seeded, and of the strength that is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.space.intensity import intensity_ceiling
from mededit_monai.training.appearance import RandAppearance
from mededit_monai.training.moved_cases import CropToBraind
from mededit_monai.training.pairs import Jointlyd, PairCeilingd

NONE = {"contrast": 0.0, "bias": 0.0, "blur": 0.0, "noise": 0.0}


def ramp(size: tuple[int, ...]) -> torch.Tensor:
    """Intensities from 0 to 1 along the first axis, 1xS."""
    return torch.linspace(0, 1, size[0]).view(1, -1, *[1] * (len(size) - 1)).expand(1, *size).contiguous()


def drawn(image: torch.Tensor, seed: int, **shares: float) -> torch.Tensor:
    transform = RandAppearance(**{**NONE, **shares})
    transform.set_random_state(seed=seed)
    return transform(image)


@pytest.mark.parametrize("size", [(64, 48), (32, 24, 20)])
def test_nothing_is_nothing_and_everything_is_seeded(size):
    image = ramp(size)
    assert torch.equal(drawn(image, 0), image)
    for kind in NONE:
        one, again, other = (
            drawn(image, 1, **{kind: 1.0}),
            drawn(image, 1, **{kind: 1.0}),
            drawn(image, 2, **{kind: 1.0}),
        )
        assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-4), kind
        assert torch.isfinite(one).all() and one.min() >= 0 and one.shape == image.shape


def test_contrast_rises_and_keeps_the_ends():
    for seed in range(10):
        curve = drawn(ramp((256, 1)), seed, contrast=1.0)[0, :, 0]
        assert (curve.diff() >= 0).all() and curve[0] == 0 and curve[-1] == pytest.approx(1)
    powers = [float(drawn(ramp((257, 1)), seed, contrast=1.0)[0, 128, 0]) for seed in range(200)]
    assert min(powers) < 0.4 and max(powers) > 0.6


def test_a_field_is_smooth_and_bounded():
    flat = torch.ones(1, 64, 64)
    fields = torch.cat([drawn(flat, seed, bias=1.0) for seed in range(30)])
    assert fields.max() < np.exp(0.35) + 1e-5 and fields.min() > np.exp(-0.35) - 1e-5
    assert fields.max() > 1.2 and fields.diff(dim=1).abs().max() < 0.05


def test_blur_takes_the_finest_pattern_away_and_keeps_the_mean():
    board = torch.from_numpy(np.indices((64, 64)).sum(axis=0) % 2).float()[None]
    for seed in range(10):
        found = drawn(board, seed, blur=1.0)
        assert found.std() < 0.8 * board.std() and found.mean() == pytest.approx(0.5, abs=0.02)


def test_noise_has_at_most_the_strength_that_is_said():
    flat = torch.full((1, 96, 96), 0.5)
    spreads = [float(drawn(flat, seed, noise=1.0).std()) for seed in range(40)]
    assert max(spreads) < 0.055 and max(spreads) > 0.04 and min(spreads) < 0.01


@pytest.mark.parametrize("kind", list(NONE))
def test_pairs_stay_equal_where_they_were(kind):
    """Blur may carry a change by a few pixels, all else not at all."""
    prior = ramp((64, 64)) * 0.8
    image = prior.clone()
    image[0, 30:34, 30:34] = 1.0
    transform = Jointlyd(["image", "prior"], RandAppearance(**{**NONE, kind: 1.0}))
    for seed in range(8):
        transform.set_random_state(seed=seed)
        found = transform({"image": image, "prior": prior})
        same = (found["image"] - found["prior"])[0].abs() < 1e-6
        reach = 4 if kind == "blur" else 0
        assert same[: 30 - reach].all() and same[34 + reach :].all() and not same[30:34, 30:34].all()


@pytest.mark.parametrize("size", [(64, 48), (64, 48, 40)])
def test_background_that_was_cut_off_still_counts_for_the_percentile(size):
    """A cropped case gets the ceiling that a scan to edit has: that of its whole slice."""
    rng = np.random.default_rng(0)
    brain = torch.zeros(1, *size)
    brain[(0, slice(20, 40), slice(10, 34), *[slice(8, 30)] * (len(size) - 2))] = 1
    prior = torch.from_numpy(rng.uniform(0.1, 0.7, (1, *size)).astype(np.float32)) * brain
    case = CropToBraind(["prior", "prior_brain"])({"prior": prior, "prior_brain": brain})
    found = PairCeilingd("stroke")(case)["prior"]
    plane = prior[0].numpy() if len(size) == 2 else prior[0, ..., 8].numpy()
    ceiling = intensity_ceiling(plane, 98.0)
    assert torch.allclose(found, (case["prior"] / ceiling).clamp(0, 1), atol=1e-6)
    assert not torch.allclose(found, (case["prior"] / intensity_ceiling(case["prior"].numpy(), 98.0)).clamp(0, 1))

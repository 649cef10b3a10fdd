# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the effects network is trained on, its loss, and what a validation says of it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training.moved_pairs import PIXEL, planes

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import DisplacementError
from mededit_monai.networks.effects_network import taper_weight
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.flow import flow
from mededit_monai.training.effects_batch import EffectsPrepareBatch
from mededit_monai.training.effects_loss import (
    EffectsLoss,
    Moved,
    displacements,
    observed_strength,
    slope_error,
    strength_loss,
    ventricle_error,
)
from mededit_monai.training.losses import Target
from mededit_monai.training.moved_cases import at_nodes, halved


def batch(size: tuple[int, ...] = (48, 48), count: int = 4, regions: bool = False) -> dict:
    """As the loader of a training gives it."""
    cases = [planes(size, k) for k in range(count)]
    found = {
        key: torch.from_numpy(np.stack([case[key] for case in cases])[:, None].astype(np.float32))
        for key in ("prior", "prior_brain", "pathology")
    }
    found["displacement"] = torch.stack([torch.from_numpy(case["displacement"]) for case in cases])
    weights = [torch.from_numpy(taper_weight(case["brain"], PIXEL))[None] for case in cases]
    found["taper"] = torch.stack([halved(one) for one in weights])
    found |= {"global_atrophy": torch.zeros(count), "pixel_mm": torch.full((count,), PIXEL)}
    found |= {"seed": torch.arange(count), "case_id": [f"case{k}" for k in range(count)]}
    return found | ({"regions": 2 * found["pathology"]} if regions else {})


def test_the_network_sees_the_scan_within_the_brain_and_the_lesion():
    given = batch()
    given["prior"] = given["prior"] + 0.2  # also outside the brain, where nothing must be seen
    x, target, args, kwargs = EffectsPrepareBatch(even=True)(given)
    assert x.shape == (4, 7, 48, 48) and args == () and kwargs == {}
    brain = given["prior_brain"] > 0
    assert (x[:, :1][~brain] == -1).all() and torch.equal(x[:, 1:2], given["prior_brain"])
    assert torch.allclose(x[:, :1][brain], 2 * given["prior"][brain] - 1)
    assert torch.equal(x[:, 2:3], given["pathology"]) and not x[:, 3:].any()
    assert torch.equal(target["value"], at_nodes(given["displacement"]))


def test_every_case_draws_its_condition():
    given = batch(count=4, regions=True)
    seen = set()
    for first in range(0, 40, 4):
        given["seed"] = torch.arange(first, first + 4)
        told = EffectsPrepareBatch()(given)[0][:, 2:]
        again = EffectsPrepareBatch()(given)[0][:, 2:]
        assert torch.equal(told, again)
        for k, one in enumerate(told):
            used = tuple(one.flatten(1).any(dim=1).tolist())
            seen.add(used)
            box = condition_channels(given["pathology"][k], "box")
            wanted = {0: given["pathology"][k], 1: box, 3: given["pathology"][k]}  # label 2 is the edema's
            assert sum(used) == 1 and torch.equal(one[[used.index(True)]], wanted[used.index(True)])
    assert len(seen) == 3


def test_weights_by_hand():
    """7 within about 20 mm of what is shown, 1 elsewhere in the brain, 0 outside; not a word of what moved."""
    given = batch(size=(64, 64), count=2)
    given["pathology"][:] = 0
    given["pathology"][:, 0, 20:22, 32:34] = 1  # one cell of the half grid: (10, 16)
    weight = EffectsPrepareBatch(even=True)(given)[1]["weight"]
    reach = 5  # 20 mm are 5.49 cells of 2 x 1.82 mm
    brain = halved(given["prior_brain"][0]) > 0
    rows = torch.arange(32)
    near = ((rows - 10).abs() <= reach)[:, None] & ((rows - 16).abs() <= reach)[None]
    assert torch.equal(weight[0], torch.where(brain, torch.where(near, 7.0, 1.0), 0.0))
    given["displacement"] = -3 * given["displacement"]
    assert torch.equal(EffectsPrepareBatch(even=True)(given)[1]["weight"], weight)


def test_what_is_not_for_this_family():
    with pytest.raises(InputError, match="--min_snr_gamma: got 5, wanted none"):
        EffectsPrepareBatch(min_snr_gamma=5)
    with pytest.raises(InputError, match="--loss_kind: got 'l1', wanted mse"):
        EffectsLoss("l1")


def target_of(given: dict) -> Target:
    """What a batch is held against."""
    return EffectsPrepareBatch(even=True)(given)[1]


def prediction(velocity: torch.Tensor, atrophy: torch.Tensor | None = None, spread: float = 0.3) -> torch.Tensor:
    """The network's output for velocities Nxnx(S/2) in mm."""
    other = torch.zeros_like(velocity) if atrophy is None else atrophy
    return torch.cat([velocity, other, torch.full_like(velocity[:, :1], math.log(spread))], dim=1)


def test_the_true_velocity_has_no_loss_and_none_has_the_weighted_variance():
    torch.manual_seed(0)
    target = target_of(batch())
    velocity = torch.nn.functional.avg_pool2d(torch.randn(4, 2, 24, 24), 7, 1, 3) * 30
    target["value"] = flow(velocity * target["taper"] / (2 * PIXEL)) * (2 * PIXEL)
    loss = EffectsLoss(strength_weight=0, slope_weight=0)
    size = target["value"].square().sum(dim=1, keepdim=True)
    variance = float((target["weight"] * size).sum() / target["weight"].sum())
    assert float(loss(prediction(0 * velocity), target)) == pytest.approx(variance, rel=1e-5)
    assert float(loss(prediction(velocity), target)) < 1e-3 * variance  # all but what is below the floor


def test_slopes_count_by_their_squares_where_both_neighbours_weigh():
    """û - u = 0.5 mm a row: (0.5 / 2 PIXEL)² a pair of rows, nothing along them; a pair counts as its lighter pixel."""
    off = 0.5 * torch.arange(6.0).view(1, 1, 6, 1).expand(1, 2, 6, 4)
    weight = torch.ones(1, 1, 6, 4)
    weight[..., 3, :], weight[..., 5, :] = 0.25, 0
    found = slope_error(Moved(off, torch.zeros_like(off), torch.zeros(1)), weight, torch.tensor([PIXEL]))
    assert float(found) == pytest.approx(2 * 4 * (1 + 1 + 0.25 + 0.25 + 0) * (0.5 / (2 * PIXEL)) ** 2)
    target = target_of(batch())
    plain, sloped = (EffectsLoss(strength_weight=0, slope_weight=weight) for weight in (0.0, 2.0))
    said = prediction(torch.nn.functional.avg_pool2d(torch.randn(4, 2, 24, 24), 7, 1, 3) * 30)
    slopes = slope_error(displacements(said, target), target["weight"], target["pixel_mm"]) / target["weight"].sum()
    assert float(slopes) > 0
    assert float(sloped(said, target)) == pytest.approx(float(plain(said, target)) + 2 * float(slopes), rel=1e-5)


def test_ventricles_count_by_the_mean_motion_of_their_walls():
    """A slab from edge to edge, 4 rows thick: one of its two walls moves by half a row of 2 PIXEL, in half of them."""
    slab = torch.zeros(3, 1, 12, 8)
    slab[:2, :, 4:8] = 1
    free = torch.ones_like(slab)
    free[1, ..., 4:] = 0  # under the lesion nothing is counted
    nothing = torch.zeros(3, 2, 12, 8)
    wall = nothing.clone()
    wall[:, 0, 6:] = 0.5 * 2 * PIXEL
    moved = Moved(nothing, wall, torch.zeros(3))
    found = ventricle_error(moved, slab, free, torch.full((3,), PIXEL))
    assert found.tolist() == pytest.approx([PIXEL / 2, PIXEL / 4, 0.0])
    target = target_of(batch())
    said = prediction(torch.nn.functional.avg_pool2d(torch.randn(4, 2, 24, 24), 7, 1, 3) * 30)
    plain, weighed = (EffectsLoss(strength_weight=0, ventricle_weight=weight) for weight in (0.0, 2.0))
    assert torch.equal(weighed(said, target), plain(said, target))  # where they are not known
    known = target_of(batch() | {"prior_ventricles": torch.nn.functional.pad(torch.ones(4, 1, 16, 16), [16] * 4)})
    error = ventricle_error(displacements(said, known), known["ventricles"], known["free"], known["pixel_mm"])
    assert float(error.abs().min()) > 0
    wanted = float(plain(said, known)) + 2 * float(error.square().mean())
    assert float(weighed(said, known)) == pytest.approx(wanted, rel=1e-5)


def test_remote_atrophy_is_added_in_proportion():
    target = target_of(batch())
    smooth = torch.nn.functional.avg_pool2d(torch.ones(4, 2, 24, 24), 7, 1, 3) * 4
    target["atrophy"] = torch.tensor([0.0, 0.25, 0.5, 1.0])
    amount = target["atrophy"].view(-1, 1, 1, 1)
    target["value"] = flow(amount * smooth * target["taper"] / (2 * PIXEL)) * (2 * PIXEL)
    loss = EffectsLoss(strength_weight=0, slope_weight=0)
    assert float(loss(prediction(0 * smooth, smooth), target)) < 1e-3
    assert float(loss(prediction(smooth, smooth), target)) > 0.1


def test_a_network_that_starts_at_nothing_gets_a_gradient_everywhere():
    target = target_of(batch())
    target["value"] = torch.ones_like(target["value"])
    for start in (0.0, 0.01):  # nothing, and less than the floor
        velocity = torch.full((4, 2, 24, 24), start, requires_grad=True)
        EffectsLoss()(prediction(velocity), target).backward()
        assert torch.isfinite(velocity.grad).all()
        assert (velocity.grad[(target["taper"] > 0.5).expand(-1, 2, -1, -1)] < 0).all()


def test_large_velocities_have_finite_gradients():
    target = target_of(batch())
    velocity = (torch.nn.functional.avg_pool2d(torch.randn(4, 2, 24, 24), 5, 1, 2) * 60).requires_grad_()
    EffectsLoss()(prediction(velocity), target).backward()
    assert torch.isfinite(velocity.grad).all() and velocity.grad.abs().max() > 0


def test_observed_strength_by_hand():
    found = torch.zeros(3, 2, 4, 4)
    found[:, 0] = 2.0
    wanted = torch.stack([1.5 * found[0], -found[0], 0 * found[0]])
    assert observed_strength(found, wanted).tolist() == pytest.approx([1.5, 0.05, 0.05])


@pytest.mark.parametrize("sigma", [0.15, 0.5])
def test_the_likelihood_of_the_strength_is_largest_at_the_true_spread(sigma):
    """ln s ~ N(-σ²/2, σ²): the loss over many cases has its minimum at σ, and its gradient there is 0."""
    count = 20000
    noise = torch.randn(count, generator=torch.Generator().manual_seed(0))
    strength = (sigma * noise - sigma**2 / 2).exp()
    found = torch.full((count, 2, 1, 1), 2.0)
    wanted = found * strength.view(-1, 1, 1, 1)
    assert float(strength.mean()) == pytest.approx(1, abs=0.02)
    losses = {}
    for factor in (0.9, 1.0, 1.1):
        spread = torch.full((count,), math.log(factor * sigma))
        losses[factor] = float(strength_loss(Moved(found, wanted, spread), torch.zeros(count)))
    assert losses[1.0] < min(losses[0.9], losses[1.1])


def test_strength_is_learned_only_where_something_moves_by_the_lesion():
    found = torch.full((3, 2, 2, 2), 2.0)
    found[1] = 0.1  # moves by less than 1 mm
    found.requires_grad_()
    spread = torch.full((3,), math.log(0.3), requires_grad=True)
    loss = strength_loss(Moved(found, 1.4 * found.detach(), spread), torch.tensor([0.0, 0.0, 0.5]))
    loss.backward()
    assert spread.grad[0] != 0 and not spread.grad[1:].any()
    assert found.grad is None  # û is held fixed


def test_what_a_validation_says():
    """Half of the true field: a quarter of the variance is left, the strength is 2, the end point half as far off."""
    given = batch()
    target = target_of(given)
    smooth = torch.nn.functional.avg_pool2d(torch.ones(4, 2, 24, 24), 7, 1, 3)
    target["taper"] = torch.ones_like(target["taper"])
    target["value"] = smooth * 2
    target["weight"][:] = 1
    handler, state = DisplacementError(), SimpleNamespace(metrics={})
    engine = SimpleNamespace(state=state)
    handler._start(engine)
    for part in (slice(0, 2), slice(2, 4)):
        label = {key: one[part] for key, one in target.items()}
        state.output = {"pred": prediction(smooth[part]), "label": label}
        handler._add(engine)
    handler._report(engine)
    metrics = state.metrics
    assert metrics["val_variance_left"] == pytest.approx(0.25, abs=0.02)
    assert metrics["val_endpoint_mm"] == pytest.approx(metrics["val_moved_mm"] / 2, rel=0.05)
    assert metrics["val_strength"] == pytest.approx(2, rel=0.05) and metrics["val_strength_sd"] < 0.01
    assert metrics["val_spread"] == pytest.approx(0.3) and metrics["val_still"] == metrics["val_still_true"] == 0

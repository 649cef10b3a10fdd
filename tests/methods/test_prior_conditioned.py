# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prior-conditioned editing: the sampler against closed form, and what must stay the prior bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import ALPHA_BAR, ar1, clean_matrix, ddim_step, ddpm_step, log_snr, scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.methods.change import CHANGE_SCALE
from mededit_monai.methods.change_editor import ChangeEditor
from mededit_monai.sampling.noise import CaseNoise

OPEN, SHUT = 40.0, -200.0  # logits whose sigmoid is 1 and 0 in single precision
SIZE = 16
COVARIANCE = ar1()
SHIFT = np.linspace(-0.3, 0.5, SIZE)  # m(prior) = SHIFT + 0.4 prior


def build(**settings) -> ChangeEditor:
    return ChangeEditor(scheduler("sample"), **{"clip": None, **settings})


class ExactChange:
    """The optimal ŷ0 for rows y0 ~ N(m(prior), Σ): m + √ᾱ Σ (ᾱ Σ + (1-ᾱ) I)^-1 (y_t - √ᾱ m), behind an open gate."""

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        a = ALPHA_BAR[int(timesteps[0])]
        y, prior = x[:, :1].double(), x[:, -1:].double()
        mean = torch.from_numpy(SHIFT) + 0.4 * prior
        change = mean + (y - np.sqrt(a) * mean) @ torch.from_numpy(clean_matrix(COVARIANCE, a)).T
        return torch.cat([change, torch.full_like(change, OPEN)], dim=1).to(x.dtype)


class Constant:
    """The same change and logit whatever the network sees; remembers what it was shown."""

    def __init__(self, change: torch.Tensor | float, logit: torch.Tensor | float) -> None:
        self.change, self.logit, self.seen = change, logit, []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        shape = torch.zeros_like(x[:, :1])
        return torch.cat([shape + self.change, shape + self.logit], dim=1)


# --- closed form -----------------------------------------------------------------------------------------------------


def toy(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One prior, repeated along the rows, and masks of ones."""
    prior = torch.tensor(np.random.default_rng(3).uniform(-1, 1, SIZE), dtype=torch.float32)
    prior = prior.expand(1, 1, rows, SIZE).contiguous()
    return prior, torch.ones_like(prior)


def test_one_evaluation_gives_the_mean():
    """ŷ0 = m + K (z - √ᾱ m) at t = T-1, where K is of the order of √ᾱ = 0.006: the mean, nearly without noise."""
    prior, ones = toy(400)
    edited = build(steps=1)(prior, ExactChange(), ones, ones, seeds=[5]).image
    found = (edited - prior)[0, 0].double().numpy()
    gain, root = clean_matrix(COVARIANCE, ALPHA_BAR[999]), np.sqrt(ALPHA_BAR[999])
    mean = SHIFT + 0.4 * prior[0, 0, 0].double().numpy()
    z = CaseNoise([5], prior)()[0, 0].double().numpy()
    assert np.abs(found - CHANGE_SCALE * (mean + (z - root * mean) @ gain.T)).max() < 1e-6
    assert np.abs(found.mean(0) - CHANGE_SCALE * mean).max() < 2e-3


def propagated(steps: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrix on m and covariance of the result, level by level."""
    path = [*reversed(log_snr(steps)), -1]
    on_mean, cov = np.zeros((SIZE, SIZE)), np.eye(SIZE)
    step = {"ddim": ddim_step, "ddpm": ddpm_step}[kind]
    for t, s in zip(path[:-1], path[1:]):
        gain, a = clean_matrix(COVARIANCE, ALPHA_BAR[t]), ALPHA_BAR[t]
        on_clean, on_noisy, extra = step(a, 1.0 if s < 0 else ALPHA_BAR[s])
        moved = on_clean * gain + on_noisy * np.eye(SIZE)
        on_mean = moved @ on_mean + on_clean * (np.eye(SIZE) - np.sqrt(a) * gain)
        cov = moved @ cov @ moved.T + extra * np.eye(SIZE)
    return on_mean, cov


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
@pytest.mark.parametrize("steps", [5, 25])
def test_mean_and_covariance_are_those_of_the_recursion(kind, steps):
    prior, ones = toy(8000)
    edited = build(steps=steps, sampler=kind)(prior, ExactChange(), ones, ones, seeds=[7]).image
    change = ((edited - prior) / CHANGE_SCALE)[0, 0].double().numpy()
    on_mean, cov = propagated(steps, kind)
    mean = on_mean @ (SHIFT + 0.4 * prior[0, 0, 0].double().numpy())
    assert (np.abs(change.mean(0) - mean) < 5 * np.sqrt(np.diag(cov) / 8000)).all()
    assert distance(np.cov(change.T), cov) < 0.06


@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_the_true_distribution_is_reached_as_levels_grow(kind):
    found = {steps: propagated(steps, kind) for steps in (5, 25, 200)}
    errors = [distance(cov, COVARIANCE) for _, cov in found.values()]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.05
    assert max(distance(on_mean, np.eye(SIZE)) for on_mean, _ in found.values()) < 0.03  # the mean at any count


def test_second_order_is_closer_at_ten_levels():
    prior, ones = toy(8000)
    errors = {}
    for kind in ("ddim", "dpm2m"):
        edited = build(steps=10, sampler=kind)(prior, ExactChange(), ones, ones, seeds=[7]).image
        errors[kind] = distance(np.cov(((edited - prior) / CHANGE_SCALE)[0, 0].double().numpy().T), COVARIANCE)
    assert errors["dpm2m"] < errors["ddim"] / 2


# --- what stays ------------------------------------------------------------------------------------------------------


def brain_case(size: int = 24) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    brain = torch.zeros(2, 1, size, size)
    brain[..., 2:-2, 2:-2] = 1
    prior = torch.where(brain > 0, 2 * torch.rand(2, 1, size, size, generator=generator) - 1, torch.tensor(-1.0))
    pathology = torch.zeros_like(brain)
    pathology[..., 10:13, 10:13] = 1
    return {"inputs": prior, "brain": brain, "pathology": pathology}


@pytest.mark.parametrize("kind", ["ddim", "ddpm", "dpm2m"])
def test_a_shut_gate_is_the_identity(kind):
    case = brain_case()
    editor = ChangeEditor(scheduler("sample"), sampler=kind, steps=4)
    assert torch.equal(editor(network=Constant(3.0, SHUT), seeds=[1, 2], **case).image, case["inputs"])


@pytest.mark.parametrize("steps", [1, 4])
def test_an_open_gate_changes_its_region_and_its_rim(steps):
    """A gate open over rows 10-13: full change there, 2/3 and 1/3 of it in the two rows beyond, nothing farther."""
    case = brain_case()
    logit = torch.full((1, 1, 24, 24), -OPEN)
    logit[..., 10:14, :] = OPEN
    edit = build(steps=steps)(network=Constant(0.4, logit), seeds=[1, 2], **case)
    change = (edit.image - case["inputs"])[:, 0, :, 12]
    weight = {8: 1 / 3, 9: 2 / 3, **{row: 1.0 for row in range(10, 14)}, 14: 2 / 3, 15: 1 / 3}
    # beyond the gate σ(l) is shut, so that the rim's change is 0 here: the rim only matters where the gate is half open
    for row, share in weight.items():
        wanted = CHANGE_SCALE * 0.4 if share == 1 else 0.0
        assert change[:, row].numpy() == pytest.approx(wanted, abs=1e-6)
        assert edit.region[:, 0, row, 12].all()
    outside = ~edit.region
    assert outside[:, 0, :8].all() and outside[:, 0, 16:].all() and outside[:, 0, :, :2].all()
    assert torch.equal(edit.image[outside], case["inputs"][outside])
    half = build(steps=1)(network=Constant(0.4, torch.where(logit > 0, OPEN, -1.0)), seeds=[1, 2], **case).image
    rim = 1 / (1 + np.e) * 0.4 * CHANGE_SCALE
    assert (half - case["inputs"])[:, 0, 9, 12].numpy() == pytest.approx(2 / 3 * rim, abs=1e-6)
    assert (half - case["inputs"])[:, 0, 15, 12].numpy() == pytest.approx(1 / 3 * rim, abs=1e-6)


def test_specks_are_dropped_and_the_lesion_belongs_to_the_region():
    case = brain_case()
    logit = torch.full((1, 1, 24, 24), SHUT)
    logit[..., 4:6, 4:6] = OPEN  # four pixels, away from the lesion
    logit[..., 18:21, 18:20] = OPEN  # six
    logit[..., 13, 11] = OPEN  # one that touches the lesion
    edit = build(steps=1)(network=Constant(1.0, logit), seeds=[1, 2], **case)
    region = edit.region[0, 0]
    assert not region[3:7, 3:7].any() and region[18:21, 18:20].all() and region[10:13, 10:13].all()
    assert torch.equal(edit.image != case["inputs"], (torch.sigmoid(logit) > 0) & edit.region)


def test_a_limit_is_kept_and_a_box_is_not_the_region():
    case = brain_case()
    limit = torch.zeros_like(case["brain"])
    limit[..., :12] = 1
    editor = build(steps=2, condition="box")
    edit = editor(network=Constant(1.0, OPEN), seeds=[1, 2], region=limit, **case)
    assert torch.equal(edit.image != case["inputs"], limit > 0) and torch.equal(edit.region, limit > 0)
    assert not editor(network=Constant(1.0, SHUT), seeds=[1, 2], **case).region.any()
    shut = build(steps=1)(network=Constant(1.0, SHUT), seeds=[1, 2], **case)
    assert shut.region[..., 10:13, 10:13].all()


def test_the_counterfactual_stays_in_range():
    case = brain_case()
    for change, bound in ((9.0, 1.0), (-9.0, -1.0)):
        edit = ChangeEditor(scheduler("sample"), steps=3)(network=Constant(change, OPEN), seeds=[1, 2], **case)
        assert (edit.image[case["brain"] > 0] == bound).all()


# --- network, noise, guidance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("condition", "channel"), [("mask", 2), ("box", 3), ("regions", 4)])
def test_what_the_network_sees(condition, channel):
    """[y_t, b, mask, boxes, core, edema, rim, prior]."""
    case, network = brain_case(), Constant(0.0, SHUT)
    width = 3 if condition == "regions" else 1
    case["pathology"] = torch.cat([case["pathology"] * k for k in (1, 0, 0)], dim=1)[:, :width]
    build(steps=2, condition=condition)(network=network, seeds=[1, 2], **case)
    for x in network.seen:
        assert x.shape[1] == 8
        assert torch.equal(x[:, 1:2], case["brain"]) and torch.equal(x[:, 7:], case["inputs"])
        assert torch.equal(x[:, channel : channel + width], case["pathology"])
        assert x[:, 2:7].sum() == case["pathology"].sum()
    assert torch.equal(network.seen[0][:, :1], CaseNoise([1, 2], case["inputs"])())
    with pytest.raises(InputError, match="--condition: got 'boxes'"):
        build(condition="boxes")


class Follower:
    """A change that depends on y_t, the prior and p: noise that got mixed up would show."""

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        change = torch.tanh(x[:, :1]) + 0.2 * x[:, -1:] + x[:, 2:3]
        return torch.cat([change, torch.full_like(change, OPEN)], dim=1)


@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_a_case_is_the_same_in_any_batch_and_order(kind):
    case = brain_case()
    editor = build(steps=4, sampler=kind)
    together = editor(network=Follower(), seeds=[11, 12], **case).image
    turned = editor(network=Follower(), seeds=[12, 11], **{k: v.flip(0) for k, v in case.items()}).image
    assert torch.equal(together, turned.flip(0))
    for k, seed in enumerate((11, 12)):
        alone = editor(network=Follower(), seeds=[seed], **{key: v[k : k + 1] for key, v in case.items()})
        assert torch.equal(alone.image[0], together[k])
    same = {key: v[:1].expand(2, -1, -1, -1) for key, v in case.items()}
    slices = editor(network=Follower(), seeds=[11, 11], **same).image
    assert torch.equal(slices[0], slices[1])  # slices of a case share their noise


class Lesion:
    """Changes by 0.3 where p is and by 0.1 everywhere, whatever y_t is."""

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        change = 0.1 + 0.3 * x[:, 2:3]
        return torch.cat([change, torch.full_like(change, OPEN)], dim=1)


@pytest.mark.parametrize(("strength", "steps"), [(2.0, 1), (2.0, 5), (0.5, 5), (0.0, 3)])
def test_guidance_is_the_strength_of_the_lesion(strength, steps):
    """ŷ0(0) + w (ŷ0(p) - ŷ0(0)), once, at any number of levels."""
    case = brain_case()
    edit = build(steps=steps, guidance=strength)(network=Lesion(), seeds=[1, 2], **case)
    change = (edit.image - case["inputs"]) / CHANGE_SCALE
    lesion, rest = case["pathology"] > 0, (case["pathology"] == 0) & (case["brain"] > 0)
    assert change[lesion].numpy() == pytest.approx(0.1 + strength * 0.3, abs=1e-5)
    assert change[rest].numpy() == pytest.approx(0.1, abs=1e-5)
    assert edit.evaluations == steps + 1
    assert build(steps=steps)(network=Lesion(), seeds=[1, 2], **case).evaluations == steps

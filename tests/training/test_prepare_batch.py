# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training targets against their formulas, with ᾱ from the recursion oracle and not from the scheduler's methods."""

from __future__ import annotations

import pytest
import torch
from gaussian import ALPHA_BAR, scheduler
from monai.data import MetaTensor
from monai.inferers import DiffusionInferer

from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch, training_target


def batch(count: int = 4, size: tuple[int, ...] = (8, 6)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 1, *size, generator=generator)
    brain = (torch.rand(count, 1, *size, generator=generator) > 0.3).float()
    return {"image": image, "brain": brain, "pathology": brain * (image > 0.5)}


def alpha_bar(t: torch.Tensor, dimensions: int = 4) -> torch.Tensor:
    return torch.tensor(ALPHA_BAR[t.numpy()]).reshape(-1, *[1] * (dimensions - 1))


# --- target ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 6), (4, 6, 5)])
def test_velocity(size):
    """v = √ᾱ ε − √(1−ᾱ) x0, hence x0 = √ᾱ x_t − √(1−ᾱ) v and ε = √(1−ᾱ) x_t + √ᾱ v."""
    image, noise = torch.randn(2, 5, 1, *size, dtype=torch.float64).unbind()
    t = torch.tensor([0, 1, 250, 700, 999])
    a = alpha_bar(t, image.ndim)
    v = training_target(scheduler("v_prediction"), image, noise, t)
    assert torch.allclose(v, a.sqrt() * noise - (1 - a).sqrt() * image, atol=1e-6)
    x_t = a.sqrt() * image + (1 - a).sqrt() * noise
    assert torch.allclose(a.sqrt() * x_t - (1 - a).sqrt() * v, image, atol=1e-6)
    assert torch.allclose((1 - a).sqrt() * x_t + a.sqrt() * v, noise, atol=1e-6)


def test_noise_and_image_as_targets():
    image, noise, t = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4), torch.tensor([5, 900])
    assert torch.equal(training_target(scheduler("epsilon"), image, noise, t), noise)
    assert torch.equal(training_target(scheduler("sample"), image, noise, t), image)


def test_refuses_an_unknown_parametrisation():
    odd = scheduler()
    odd.prediction_type = "score"
    with pytest.raises(ValueError, match="'score' is none of 'epsilon', 'sample', 'v_prediction'"):
        training_target(odd, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.tensor([0]))


# --- batch -----------------------------------------------------------------------------------------------------------


def test_image_is_in_the_models_range():
    data = batch()
    image, _, arguments, _ = MaskConditionedPrepareBatch(scheduler())(data)
    assert torch.equal(image, data["image"] * 2 - 1) and arguments == ()


def test_regions_are_channels_behind_the_brain_mask():
    data = batch()
    data["regions"] = torch.randint(0, 4, data["brain"].shape).float()
    *_, keywords = MaskConditionedPrepareBatch(scheduler(), condition="regions")(data)
    assert keywords["condition"].shape[1] == 4 and keywords["mode"] == "concat"
    assert torch.equal(keywords["condition"][:, 0], data["brain"][:, 0])
    for label in (1, 2, 3):
        assert torch.equal(keywords["condition"][:, label], (data["regions"][:, 0] == label).float())


def test_boxes_take_the_place_of_the_mask():
    data = batch()
    data["pathology"] = torch.zeros_like(data["pathology"])
    data["pathology"][:, 0, 1, 1] = data["pathology"][:, 0, 2, 2] = 1  # touch at a corner: one piece
    *_, keywords = MaskConditionedPrepareBatch(scheduler(), condition="box")(data)
    boxes = torch.zeros_like(data["pathology"])
    boxes[:, 0, 1:3, 1:3] = 1
    assert torch.equal(keywords["condition"][:, 1:], boxes)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_what_the_network_sees_in_training(kind):
    """Through MONAI's inferer: [x_t, brain, pathology] with x_t = √ᾱ x0 + √(1−ᾱ) ε, and a target that fits it."""
    data, seen = batch(), {}

    def network(x, timesteps, context=None):
        seen["x"], seen["t"] = x, timesteps
        return x[:, :1]

    diffusion = scheduler(kind)
    image, target, _, keywords = MaskConditionedPrepareBatch(diffusion)(data)
    DiffusionInferer(diffusion)(inputs=image, diffusion_model=network, **keywords)
    a = alpha_bar(seen["t"]).float()
    x_t = a.sqrt() * (data["image"] * 2 - 1) + (1 - a).sqrt() * keywords["noise"]
    assert torch.allclose(seen["x"][:, :1], x_t, atol=1e-5)
    assert torch.equal(seen["x"][:, 1:2], data["brain"]) and torch.equal(seen["x"][:, 2:], data["pathology"])
    wanted = keywords["noise"] if kind == "epsilon" else a.sqrt() * keywords["noise"] - (1 - a).sqrt() * image
    assert torch.allclose(target["value"], wanted, atol=1e-5)


def test_training_draws_every_timestep_and_new_noise():
    torch.manual_seed(0)
    prepare, data = MaskConditionedPrepareBatch(scheduler()), batch(4000, (2, 2))
    first, second = (prepare(data)[3] for _ in range(2))
    counts = torch.bincount(first["timesteps"], minlength=1000)
    assert len(counts) == 1000 and counts.max() < 20  # 4 expected
    assert counts.reshape(10, 100).sum(1).min() > 320  # 400 expected
    assert first["noise"].mean().abs() < 0.03 and first["noise"].std() == pytest.approx(1, abs=0.02)
    assert not torch.equal(first["noise"], second["noise"])
    assert not torch.equal(first["timesteps"], second["timesteps"])


def seeded(*seeds: int) -> dict[str, torch.Tensor]:
    """Equal cases with seeds of their own, as a data loader collates them."""
    one = {key: value[:1].repeat(len(seeds), 1, 1, 1) for key, value in batch(1).items()}
    return one | {"seed": torch.tensor(seeds)}


def test_noise_and_timestep_belong_to_the_case():
    """The same in another order, another batch and at any state of torch's own generator, which stays as it is."""
    prepare, state = MaskConditionedPrepareBatch(scheduler()), torch.get_rng_state()
    *_, three = prepare(seeded(2**62 + 1, 5, 9))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(prepare.timesteps, three["timesteps"])
    torch.randn(7)
    *_, two = prepare(seeded(9, 2**62 + 1))
    for key in ("noise", "timesteps"):
        assert torch.equal(two[key], three[key][[2, 0]]), key
    assert len(set(three["noise"][:, 0, 0, 0].tolist())) == len(set(three["timesteps"].tolist())) == 3


def test_validation_is_the_same_in_every_epoch():
    prepare, data = MaskConditionedPrepareBatch(scheduler(), even=True), seeded(1, 2, 3, 4)
    _, target, _, first = prepare(data)
    torch.randn(7)
    _, again, _, second = prepare(data)
    assert torch.equal(first["noise"], second["noise"]) and torch.equal(target["value"], again["value"])
    assert first["timesteps"].tolist() == second["timesteps"].tolist() == [125, 375, 625, 875]
    *_, other = prepare(seeded(1, 2, 3, 5))
    assert [torch.equal(a, b) for a, b in zip(first["noise"], other["noise"])] == [True, True, True, False]


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("gamma, lesion", [(5.0, 0.0), (None, 3.0), (5.0, 3.0)])
def test_weights_stand_beside_the_target(kind, gamma, lesion):
    """(1 + lesion weight · p) · min(SNR, γ) / {SNR, 1, SNR + 1} for ε, x0 and v."""
    data = seeded(1, 2, 3, 4)
    _, plain, *_ = MaskConditionedPrepareBatch(scheduler(kind), even=True)(data)
    prepare = MaskConditionedPrepareBatch(scheduler(kind), even=True, min_snr_gamma=gamma, lesion_weight=lesion)
    _, target, _, keywords = prepare(data)
    assert torch.equal(target["value"], plain["value"]) and set(target) == {"value", "weight"}
    a = alpha_bar(keywords["timesteps"])
    snr = a / (1 - a)
    divisor = {"epsilon": snr, "sample": torch.ones_like(snr), "v_prediction": snr + 1}[kind]
    level = torch.ones_like(snr) if gamma is None else snr.clamp(max=gamma) / divisor
    assert torch.allclose(target["weight"].double(), (1 + lesion * data["pathology"]) * level, rtol=1e-4)


def test_without_weights_the_target_is_alone():
    _, target, *_ = MaskConditionedPrepareBatch(scheduler())(batch())
    assert set(target) == {"value"} and target["value"].shape[1] == 1


def test_plain_tensors_leave():
    data = {key: MetaTensor(value).to(torch.float64) for key, value in batch().items()}
    image, target, _, keywords = MaskConditionedPrepareBatch(scheduler())(data, device="cpu")
    for tensor in (image, target["value"], keywords["condition"]):
        assert type(tensor) is torch.Tensor and tensor.dtype == torch.float32

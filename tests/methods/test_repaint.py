# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Seeds, batches, paper mode, guidance and the use of the editors inside MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import ALPHA_BAR, ExactNetwork, scheduler
from ignite.engine import Events
from monai.data import DataLoader, Dataset

from mededit_monai.handlers.evaluator import EditEvaluator
from mededit_monai.methods.build import build_editor
from mededit_monai.methods.inpainting import InpaintingEditor, MedEditEditor, NaiveRePaintEditor, SDEditEditor
from mededit_monai.networks import MaskConditionedUNet
from mededit_monai.sampling.noise import CaseNoise, case_seed


class Recorder:
    """A network that remembers what it was shown and answers zero."""

    def __init__(self) -> None:
        self.calls: list[tuple[torch.Tensor, int]] = []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.calls.append((x.clone(), int(timesteps[0])))
        return torch.zeros_like(x[:, :1])


def batch(count: int = 3, spatial: tuple[int, ...] = (16, 16)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    prior = torch.rand((count, 1, *spatial), generator=generator) * 2 - 1
    lesion = torch.zeros_like(prior)
    lesion[(slice(None), slice(None)) + (slice(5, 8),) * len(spatial)] = 1
    return {"inputs": prior, "brain": torch.ones_like(prior), "pathology": lesion}


def small_network(spatial_dims: int = 2) -> MaskConditionedUNet:
    torch.manual_seed(0)
    network = MaskConditionedUNet(
        spatial_dims, channels=(8, 16), attention_levels=(False, True), norm_num_groups=4, num_head_channels=8
    )
    with torch.no_grad():
        for weight in network.parameters():  # MONAI's last layers start at zero, which would hide the condition
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


SEEDS = [case_seed(0, f"case_{k}") for k in range(7)]


def test_noise_is_the_cases_own():
    like = torch.zeros(7, 1, 6, 5)
    together = CaseNoise(SEEDS, like)
    first, second = together(), together()
    assert not torch.equal(first, second)
    shuffled = CaseNoise(SEEDS[::-1], like)
    assert torch.equal(shuffled().flip(0), first) and torch.equal(shuffled().flip(0), second)
    for k, seed in enumerate(SEEDS):
        alone = CaseNoise([seed], like[:1])
        assert torch.equal(alone()[0], first[k]) and torch.equal(alone()[0], second[k])


def test_equal_seeds_share_noise():
    noise = CaseNoise([5, 5, 6], torch.zeros(3, 1, 4, 4))()
    assert torch.equal(noise[0], noise[1]) and not torch.equal(noise[0], noise[2])


def test_case_seed_depends_on_seed_name_and_sample():
    seeds = {case_seed(s, n, k) for s in (0, 1) for n in ("a", "b") for k in (0, 1)}
    assert len(seeds) == 8 and all(0 <= s < 2**63 for s in seeds)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("spatial", [(16, 16), (8, 8, 8)])
def test_result_does_not_depend_on_the_batch(spatial):
    cases, network = batch(7, spatial), small_network(len(spatial))
    settings = {"steps": 4, "resample": 2, "dilation": 5, "spacing": "logsnr"}
    together = MedEditEditor(scheduler(), **settings)(network=network, seeds=SEEDS, **cases).image
    exact = MedEditEditor(scheduler(), exact=True, **settings)
    exact_together = exact(network=network, seeds=SEEDS, **cases).image
    order = [3, 1, 6, 0, 5, 2, 4]
    shuffled = exact(network=network, seeds=[SEEDS[k] for k in order], **{n: t[order] for n, t in cases.items()})
    assert torch.equal(shuffled.image, exact_together[order])
    for k in range(7):
        alone = exact(network=network, seeds=[SEEDS[k]], **{n: t[k : k + 1] for n, t in cases.items()})
        assert torch.equal(alone.image[0], exact_together[k])
    assert torch.allclose(together, exact_together, atol=1e-4)


@pytest.mark.parametrize("kind", [MedEditEditor, NaiveRePaintEditor])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm2m"])
def test_prior_is_kept_outside_the_region_bit_for_bit(kind, sampler):
    cases = batch()
    editor = kind(scheduler(), steps=6, resample=2, sampler=sampler)
    if kind is MedEditEditor:
        editor.dilation = 5
    edit = editor(network=small_network(), seeds=SEEDS[:3], **cases)
    assert torch.equal(edit.region, editor.region(cases["brain"], cases["pathology"]))
    assert edit.region[0].sum() == (7 * 7 if kind is MedEditEditor else 3 * 3)
    assert torch.equal(edit.image[~edit.region], cases["inputs"][~edit.region])
    assert (edit.image[edit.region] != cases["inputs"][edit.region]).all()


def test_explicit_region_wins():
    cases = batch()
    region = torch.zeros_like(cases["brain"])
    region[..., :2, :2] = 1
    edit = MedEditEditor(scheduler(), steps=3, resample=1)(network=Recorder(), region=region, **cases)
    assert torch.equal(edit.image != cases["inputs"], region > 0) and torch.equal(edit.region, region > 0)


def test_thesis_defaults():
    mededit, naive, sdedit = (build_editor(m, scheduler()) for m in ("mededit", "naive_repaint", "sdedit"))
    assert (mededit.dilation, len(mededit.moves), mededit.clip) == (25, 3997 + 999 * 3, (-1.0, 1.0))
    assert naive.dilation == 0 and sum(t < f for f, t in naive.moves) == 999 * 3 + 1
    assert sdedit.levels.timesteps[-1] == 199 and len(sdedit.moves) == 200


def test_evaluations_are_counted():
    cases, network = batch(1), Recorder()
    editor = MedEditEditor(scheduler(), steps=5, resample=3)
    assert editor(network=network, **cases).evaluations == len(network.calls) == 4 * 3 + 1
    assert editor(network=network, **cases).evaluations == 4 * 3 + 1  # of an edit, not of the editor
    guided, network = MedEditEditor(scheduler(), steps=5, resample=3, guidance=2.0), Recorder()
    assert guided(network=network, **cases).evaluations == len(network.calls) == 26


def test_guidance_mixes_the_lesion_and_the_healthy_prediction():
    """With a network that answers with its pathology channel, x̂0 = w·p exactly (prediction type 'sample')."""
    cases = batch(1)
    editor = InpaintingEditor(scheduler("sample"), steps=1, guidance=3.0, dilation=5, clip=None)
    edit = editor(network=lambda x, timesteps: x[:, 2:3], **cases)
    assert torch.allclose(edit.image[edit.region], 3.0 * cases["pathology"][edit.region], atol=1e-5)


def test_clip_bounds_the_result():
    cases = batch(1)
    settings = {"steps": 1, "dilation": 5}
    clipped = InpaintingEditor(scheduler("sample"), clip=(-0.5, 0.5), **settings)
    edit = clipped(network=lambda x, timesteps: 9 * torch.ones_like(x[:, :1]), **cases)
    assert edit.image.max() <= 1 and (edit.image[edit.region] == 0.5).all()


def test_start_below_the_top_begins_at_the_noised_prior():
    network, cases = Recorder(), batch(1, (64, 64))
    SDEditEditor(scheduler(), start=0.2, steps=1000)(network=network, seeds=[1], **cases)
    x, t = network.calls[0]
    assert t == 199
    noise = CaseNoise([1], cases["inputs"])()
    expected = np.sqrt(ALPHA_BAR[199]) * cases["inputs"] + np.sqrt(1 - ALPHA_BAR[199]) * noise
    assert torch.allclose(x[:, :1], expected, atol=1e-5)


# --- mode="paper": four steps of the authors' release, with their quirks --------------------------------------------


def paper(steps: int, **settings) -> InpaintingEditor:
    return InpaintingEditor(scheduler("sample"), steps=steps, mode="paper", clip=None, **settings)


def blank_region(cases: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.zeros_like(cases["brain"])


def test_paper_mode_starts_from_the_noised_prior():
    network, cases = Recorder(), batch(1)
    paper(3)(network=network, region=blank_region(cases), seeds=[1], **cases)
    noise = CaseNoise([1], cases["inputs"])()
    expected = np.sqrt(ALPHA_BAR[999]) * cases["inputs"] + np.sqrt(1 - ALPHA_BAR[999]) * noise
    assert torch.allclose(network.calls[0][0][:, :1], expected, atol=1e-5)


def test_paper_mode_ends_with_a_scaled_prior():
    cases = batch(1)
    result = paper(1000)(network=lambda x, timesteps: x[:, :1], region=blank_region(cases), **cases)
    assert torch.allclose(result.image, float(np.sqrt(ALPHA_BAR[0])) * cases["inputs"], atol=1e-7)
    assert not torch.equal(result.image, cases["inputs"])


def test_paper_mode_takes_the_known_part_from_the_level_left():
    """After one step the composed image has the noise of the level left, not of the level reached."""
    cases = batch(1, (128, 128))
    for mode, level in (("paper", 999), ("corrected", 500)):
        network = Recorder()
        editor = InpaintingEditor(scheduler("sample"), steps=3, mode=mode, clip=None)
        editor(network=network, region=blank_region(cases), seeds=[1], **cases)
        seen, t = network.calls[1]
        assert t == 500
        residual = seen[:, :1] - float(np.sqrt(ALPHA_BAR[level])) * cases["inputs"]
        assert float(residual.std()) == pytest.approx(np.sqrt(1 - ALPHA_BAR[level]), rel=0.03)


def test_paper_mode_undoes_with_the_beta_of_the_level_below():
    """Two levels (0, 999): undoing from level 0 uses 1 - ᾱ_0 instead of 1 - ᾱ_999/ᾱ_0, so almost no noise is added."""
    cases = batch(1, (128, 128))
    for mode, ratio in (("paper", ALPHA_BAR[0]), ("corrected", ALPHA_BAR[999] / ALPHA_BAR[0])):
        network = Recorder()
        editor = InpaintingEditor(scheduler("sample"), steps=2, resample=2, mode=mode, clip=None)
        editor(network=network, region=blank_region(cases), seeds=[1], **cases)
        noise = CaseNoise([1], cases["inputs"])
        drawn = [noise() for _ in range(4)]  # start, posterior, known part, undo
        known_level = 999 if mode == "paper" else 0
        known = np.sqrt(ALPHA_BAR[known_level]) * cases["inputs"] + np.sqrt(1 - ALPHA_BAR[known_level]) * drawn[2]
        expected = np.sqrt(ratio) * known + np.sqrt(1 - ratio) * drawn[3]
        assert network.calls[1][1] == 999
        assert torch.allclose(network.calls[1][0][:, :1], expected.float(), atol=1e-4)


# --- errors and MONAI ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, word",
    [
        ({"sampler": "euler"}, "euler"),
        ({"mode": "printed"}, "printed"),
        ({"eta": 2.0, "sampler": "ddim"}, "eta"),
        ({"eta": 0.5}, "which --sampler ddpm cannot"),
        ({"steps": 0}, "steps"),
        ({"dilation": -1}, "dilation"),
        ({"mode": "paper", "jump": 2}, "jump"),
        (
            {"steps": 8, "resample": 4, "jump": 60},
            "--resample: got 4, but of 8 levels none is gone back to with --jump 60",
        ),
        ({"steps": 8, "resample": 2, "resample_above": 1.0}, "--resample_above 1; give a smaller one"),
    ],
)
def test_refuses(settings, word):
    with pytest.raises(ValueError, match=word):
        InpaintingEditor(scheduler(), **settings)


def test_refuses_an_unknown_method():
    with pytest.raises(ValueError, match="mededit, naive_repaint, sdedit"):
        build_editor("medit", scheduler())


def test_runs_in_an_evaluator_of_monai():
    cases = batch(4)
    items = [
        {"image": cases["inputs"][k], "brain": cases["brain"][k], "pathology": cases["pathology"][k]} for k in range(4)
    ]

    def prepare(data, device, non_blocking, **kwargs):
        masks = {"brain": data["brain"], "pathology": data["pathology"]}
        return data["image"], None, (), {**masks, "seeds": SEEDS[:2]}

    outputs = []
    evaluator = EditEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=2),
        network=small_network(),
        inferer=MedEditEditor(scheduler(), steps=3, resample=1, dilation=3),
        prepare_batch=prepare,
        postprocessing=None,
        decollate=False,
    )
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output))
    evaluator.run()
    assert len(outputs) == 2 and all(output["edit"].evaluations == 3 for output in outputs)
    image = torch.cat([output["pred"] for output in outputs])
    region = torch.cat([output["edit"].region for output in outputs])
    assert torch.equal(image != cases["inputs"], region) and region[0].sum() == 5 * 5


def test_exact_network_is_exact():
    """The oracle itself: with x0 = 0 variance the best ε is x_t / √(1-ᾱ)."""
    network = ExactNetwork(np.array([[0.0]]))
    x = torch.randn(1, 1, 4, 4)
    assert torch.allclose(network(x, torch.tensor([300])), x / float(np.sqrt(1 - ALPHA_BAR[300])))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the networks of Palette are shown, whose noise it is, and what is refused."""

from __future__ import annotations

import pytest
import torch
from gaussian import scheduler

from mededit_monai.methods.build import build_editor
from mededit_monai.networks import MaskConditionedUNet
from mededit_monai.sampling.noise import CaseNoise, case_seed

SEEDS = [case_seed(0, f"case_{k}") for k in range(5)]


class Recorder:
    """A network that remembers what it was shown and answers zero."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return torch.zeros_like(x[:, :1])


def batch(count: int = 1, spatial: tuple[int, ...] = (16, 16)) -> dict[str, torch.Tensor]:
    """Priors, brains that miss the first two rows, and lesions that reach into them."""
    prior = torch.rand((count, 1, *spatial), generator=torch.Generator().manual_seed(0)) * 2 - 1
    brain, lesion = torch.ones_like(prior), torch.zeros_like(prior)
    brain[:, :, :2] = 0
    lesion[(slice(None), slice(None), slice(1, 6)) + (slice(5, 8),) * (len(spatial) - 1)] = 1
    return {"inputs": prior, "brain": brain, "pathology": lesion}


def editor(method: str, **settings):
    return build_editor(method, scheduler("v_prediction"), condition=settings.pop("condition", "mask"), **settings)


def small_network(channels: int, spatial_dims: int = 2) -> MaskConditionedUNet:
    torch.manual_seed(0)
    size = {"channels": (8, 16), "attention_levels": (False, True), "norm_num_groups": 4, "num_head_channels": 8}
    network = MaskConditionedUNet(spatial_dims, channels, **size)
    with torch.no_grad():
        for weight in network.parameters():  # MONAI's last layers start at zero
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


@pytest.mark.parametrize("method", ["palette", "palette_original"])
def test_palette_sees_the_scan_with_one_draw_of_noise_in_the_hole(method):
    cases, network = batch(2), Recorder()
    editor(method, steps=4)(network=network, seeds=SEEDS[:2], **cases)
    hole = (cases["pathology"] > 0) & (cases["brain"] > 0)
    drawn = CaseNoise(SEEDS[:2], cases["inputs"])
    filling, start = drawn(), drawn()
    assert len(network.seen) == 4 and all(x.shape[1] == 2 for x in network.seen)
    for x in network.seen:
        assert torch.equal(x[:, 1:], torch.where(hole, filling, cases["inputs"]))
    first = network.seen[0][:, :1]
    assert torch.equal(first, torch.where(hole, start, cases["inputs"]) if method == "palette_original" else start)


def test_the_original_keeps_the_clean_scan_outside_at_every_level():
    cases, network = batch(), Recorder()
    editor("palette_original", steps=6, spacing="logsnr")(network=network, **cases)
    hole = (cases["pathology"] > 0) & (cases["brain"] > 0)
    for x in network.seen:
        assert torch.equal(x[:, :1][~hole], cases["inputs"][~hole])
        assert (x[:, :1][hole] != cases["inputs"][hole]).all()


@pytest.mark.parametrize("spatial", [(16, 16), (8, 8, 8)])
@pytest.mark.parametrize("method, channels", [("palette", 2), ("palette_original", 2)])
def test_result_does_not_depend_on_the_batch(method, channels, spatial):
    cases, network = batch(5, spatial), small_network(channels, len(spatial))
    edit = editor(method, steps=3, spacing="logsnr", exact=True)
    together = edit(network=network, seeds=SEEDS, **cases).image
    order = [3, 1, 4, 0, 2]
    parts = [
        edit(network=network, seeds=[SEEDS[k] for k in some], **{n: t[some] for n, t in cases.items()}).image
        for some in (order[:2], order[2:])
    ]
    assert torch.equal(torch.cat(parts), together[order])
    changed = together != cases["inputs"]
    if method == "palette":
        assert changed.all()
    else:
        assert torch.equal(changed, edit.region(cases["brain"], cases["pathology"]))


@pytest.mark.parametrize("method", ["palette", "palette_original"])
def test_one_evaluation_a_level(method):
    network = Recorder()
    assert editor(method, steps=5)(network=network, **batch()).evaluations == len(network.seen) == 5

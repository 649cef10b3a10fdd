# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""When a judge of volumes, and one of slices, sees a lesion."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mededit_monai.judges import operating_point
from mededit_monai.judges.embedded import Judge, judge_network
from mededit_monai.judges.operating_point import FEW, best_threshold, quiet_peak, set_threshold
from mededit_monai.judges.structures import structures

NAMES = structures("tumor")


class Believing(torch.nn.Module):
    """Takes the image for the probability of every structure."""

    def __init__(self, spatial_dims: int = 3) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.logit(images).expand(-1, len(NAMES), *[-1] * self.spatial_dims)


def packed(parts: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.as_tensor(sum(parts[name].astype(np.float32) * 2 ** NAMES.index(name) for name in parts))[None]


@pytest.mark.parametrize(("above", "wanted"), [(0.5, 0.5), (0.6, 0.6), (0.8, 0.8), (0.9, 0.9), (0.0, 0.5)])
def test_the_best_dice_decides(monkeypatch, above, wanted):
    likely = (
        np.random.default_rng(0).permutation(np.resize([0.2, 0.55, 0.65, 0.75, 0.85, 0.95], 32**3)).reshape(32, 32, 32)
    )
    truth = likely > above
    cases = {
        "ill": {"image": torch.as_tensor(likely[None], dtype=torch.float16), "label": packed({"core": truth})},
        "well": {"image": torch.full((1, 32, 32, 32), 0.99), "label": packed({"core": ~truth})},  # must not be asked
    }
    monkeypatch.setattr(operating_point, "LoadSample", lambda disease, dims: lambda sample: cases[sample["name"]])
    samples = [{"name": "ill", "shown": "lesion"}, {"name": "well", "shown": "lesion_free"}]
    judge = Judge("tumor", Believing(), "toy")
    assert best_threshold(judge, samples) == wanted and best_threshold(judge, samples[1:]) == 0.5


def test_only_parts_of_the_lesion_are_moved():
    network, images = judge_network("tumor", spatial_dims=3).eval(), torch.rand(1, 1, 36, 32, 34)
    with torch.no_grad():
        before = network(images)
        set_threshold(network, "tumor", 0.8)
        less = before - network(images)
    assert torch.allclose(less[:, :3], torch.full_like(less[:, :3], math.log(4)), atol=1e-5)
    assert not less[:, 3:].any()


@pytest.mark.parametrize(
    ("loud", "wanted"),
    [((), 0.5), ((0.55,), 0.5), ((0.55, 0.55), 0.8), ((0.97, 0.55), 0.8), ((0.97,) * 2, 0.98), ((0.999,) * 2, 0.998)],
)
def test_false_alarms_decide_of_slices(monkeypatch, loud, wanted):
    """50 slices without lesion, some of which look like one in six pixels: one of them may, and five pixels in each."""
    images = [torch.full((1, 16, 16), 0.1) for _ in range(50)]
    for image in images:
        image[0, 0, :FEW] = 0.999
    for image, likely in zip(images, loud):
        image[0, 0, :] = 0.1
        image[0, 0, : FEW + 1] = torch.tensor([*[0.51] * FEW, likely])
    cases = {f"case_{k}": {"image": image} for k, image in enumerate(images)}
    monkeypatch.setattr(operating_point, "LoadSample", lambda disease, dims: lambda sample: cases[sample["name"]])
    samples = [{"name": name, "shown": "lesion_free"} for name in cases]
    samples += [{"name": "case_0", "shown": "lesion"}] * 9  # must not be asked
    judge = Judge("tumor", Believing(2), "toy")
    assert quiet_peak(judge, samples) == wanted and quiet_peak(judge, samples[-9:]) == 0.5


def test_a_judge_keeps_pieces_with_a_peak():
    """What its facts say of the peak holds for every image that it is shown; one of before it was chosen keeps all."""
    image = torch.full((1, 16, 16), 0.1)
    image[0, 2, 2:8], image[0, 2, 4] = 0.6, 0.95
    image[0, 9:12, 9:12] = 0.8
    found = {peak: Judge("tumor", Believing(2), "toy", facts={"peak": peak}).segment(image) for peak in (0.5, 0.9)}
    assert found[0.5]["pathology"].sum() == 15 and found[0.9]["pathology"].sum() == 6
    assert np.array_equal(found[0.9]["regions"] > 0, found[0.9]["pathology"])
    assert not found[0.9]["regions"][0, 9:12, 9:12].any()
    assert np.array_equal(Judge("tumor", Believing(2), "toy").segment(image)["regions"], found[0.5]["regions"])

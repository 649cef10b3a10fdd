# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The probability from which on a judge of volumes sees a lesion."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mededit_monai.judges import operating_point
from mededit_monai.judges.embedded import Judge, judge_network
from mededit_monai.judges.operating_point import FEW, best_threshold, quiet_threshold, set_threshold
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
    [((), 0.5), ((0.55,), 0.5), ((0.55, 0.55), 0.6), ((0.96, 0.55), 0.6), ((0.96,) * 2, 0.97), ((1,) * 2, 0.99)],
)
def test_false_alarms_decide_of_slices(monkeypatch, loud, wanted):
    """50 slices without lesion, some of which look like one in six pixels: one of them may, and five pixels in each."""
    images = [torch.full((1, 16, 16), 0.1) for _ in range(50)]
    for image in images:
        image[0, 0, :FEW] = 0.999
    for image, likely in zip(images, loud):
        image[0, 0, : FEW + 1] = likely
    cases = {f"case_{k}": {"image": image} for k, image in enumerate(images)}
    monkeypatch.setattr(operating_point, "LoadSample", lambda disease, dims: lambda sample: cases[sample["name"]])
    samples = [{"name": name, "shown": "lesion_free"} for name in cases]
    samples += [{"name": "case_0", "shown": "lesion"}] * 9  # must not be asked
    judge = Judge("tumor", Believing(2), "toy")
    assert quiet_threshold(judge, samples) == wanted and quiet_threshold(judge, samples[-9:]) == 0.5

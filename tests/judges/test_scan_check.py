# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A scan that shows a lesion already is warned of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mededit_monai.diseases import DISEASES
from mededit_monai.judges import scan_check
from mededit_monai.judges.scan_check import LookForLesiond

PIXEL_MM = DISEASES["stroke"].pixel_mm


class Seeing:
    """A judge that takes everything brighter than 0.8 for a lesion."""

    name, facts = "a_judge", {"false_alarms": {"most_pixels": 100}}

    def segment(self, images: np.ndarray | torch.Tensor) -> dict[str, np.ndarray]:
        assert images.shape == (1, 16, 16, 16)
        return {"pathology": np.asarray(images) > 0.8}


def case(bright: int) -> dict:
    """A volume with so many bright voxels in the brain; all outside are bright, and nobody should look at them."""
    inside = torch.full((16 * 16 * 8,), 0.7)  # in [0, 1]: what takes it for [-1, 1] sees 0.85
    inside[:bright] = 1
    image, brain = torch.ones(1, 1, 16, 16, 16), torch.zeros(1, 1, 16, 16, 16)
    image[..., :8], brain[..., :8] = inside.view(16, 16, 8), 1
    return {
        "image": image,
        "brain": brain,
        "scan": SimpleNamespace(path=Path("me.nii.gz")),
        "warnings": ["an older one"],
    }


@pytest.mark.parametrize(
    ("pixel_mm", "bright", "warned"), [(PIXEL_MM, 200, 0), (PIXEL_MM, 201, 1), (PIXEL_MM / 2, 201, 0)]
)
def test_more_than_twice_what_is_seen_in_healthy_scans_is_warned_of(monkeypatch, pixel_mm, bright, warned):
    monkeypatch.setattr(scan_check, "shipped_judge", lambda disease: Seeing())
    given = case(bright)
    found = LookForLesiond("stroke")(given | {"space": SimpleNamespace(pixel_mm=pixel_mm)})
    assert found["warnings"][0] == "an older one" and len(found["warnings"]) == 1 + warned
    if warned:
        volume = bright * pixel_mm**3 / 1000
        assert f"me.nii.gz: a_judge sees {volume:.1f} ml of stroke" in found["warnings"][1]
    assert given["warnings"] == ["an older one"]


def test_without_a_judge_nothing_is_said(monkeypatch):
    monkeypatch.setattr(scan_check, "shipped_judge", lambda disease: None)
    given = case(0)
    assert LookForLesiond("tumor")(given) == given

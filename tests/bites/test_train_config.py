# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What train.yaml does to a case, beside passing options on."""

from __future__ import annotations

import pytest
import torch
from bites.wiring import Built

OFF = {"flip": 0.0, "warp": 0.0, "contrast": 0.0, "bias": 0.0, "lesion_free_share": 0.0}
SEEDS = range(8)


def disc(radius: float, value: float = 1.0) -> torch.Tensor:
    """A disc beside the middle of a 48x48 plane, 1x48x48."""
    x, y = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    return value * ((x - 20) ** 2 + (y - 26) ** 2 < radius**2).float()[None]


def augmented(seed: int, case: dict | None = None, condition: str = "mask", **shares: float) -> dict:
    """A case after the augmentation of train.yaml with only the given shares."""
    augment = Built(["train.yaml"], {**OFF, **shares, "condition": condition})("train#augmentation")
    augment.set_random_state(seed=seed)
    plain = {"image": disc(16, 0.75), "brain": disc(16), "pathology": disc(5), "regions": 2 * disc(5) + disc(2)}
    return augment(plain if case is None else case)


def test_with_every_share_at_zero_a_case_stays_as_it_is():
    found = augmented(0)
    assert torch.equal(torch.as_tensor(found["image"]), disc(16, 0.75)) and torch.equal(found["pathology"], disc(5))


def test_a_warp_moves_masks_by_whole_labels_and_scans_smoothly():
    """A mask between 0 and 1 would be lesion to one part of the program and none to another."""
    for seed in SEEDS:
        found = augmented(seed, condition="regions", warp=1.0)
        for key, labels in (("brain", {0.0, 1.0}), ("pathology", {0.0, 1.0}), ("regions", {0.0, 2.0, 3.0})):
            assert set(torch.as_tensor(found[key]).unique().tolist()) == labels, key
        assert len(torch.as_tensor(found["image"]).unique()) > 10  # the rim of the disc is shared between pixels
        assert not torch.equal(torch.as_tensor(found["pathology"]), disc(5))


def test_a_warp_keeps_scan_and_masks_on_top_of_each_other():
    for seed in SEEDS:
        found = augmented(seed, {"image": disc(9, 0.75), "brain": disc(16), "pathology": disc(9)}, warp=1.0)
        inside = torch.as_tensor(found["image"]) > 0.375  # more than half of a pixel is covered
        apart = inside != (torch.as_tensor(found["pathology"]) > 0)
        assert apart.float().sum() <= 0.1 * inside.float().sum()


def test_a_flip_is_one_of_left_and_right_for_scan_and_masks():
    found = augmented(0, flip=1.0)
    for key, whole in (("image", disc(16, 0.75)), ("brain", disc(16)), ("pathology", disc(5))):
        assert torch.equal(torch.as_tensor(found[key]), whole.flip(1)), key  # axis 0 of the plane runs left to right


@pytest.mark.parametrize("share", ["contrast", "bias"])
def test_brightness_is_the_scans_alone_and_stays_in_range(share):
    scan = disc(16, 0.75) - disc(5, 0.5)
    found = augmented(3, {"image": scan, "brain": disc(16), "pathology": disc(5)}, **{share: 1.0})
    image = torch.as_tensor(found["image"])
    assert not torch.allclose(image, scan, atol=1e-3) and image.min() >= 0 and image.max() <= 1
    assert torch.equal(torch.as_tensor(found["brain"]), disc(16))


def test_a_case_shown_without_its_lesion_shows_the_prior():
    case = {"image": disc(16, 0.75) - disc(5, 0.5), "brain": disc(16), "pathology": disc(5)}
    found = augmented(0, {**case, "prior": disc(16, 0.75), "prior_brain": disc(17)}, lesion_free_share=1.0)
    assert torch.equal(torch.as_tensor(found["image"]), disc(16, 0.75)) and not found["pathology"].any()
    assert torch.equal(torch.as_tensor(found["brain"]), disc(17))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Warm starts."""

from __future__ import annotations

import pytest
import torch

from mededit_monai.errors import InputError
from mededit_monai.networks import MaskConditionedUNet, save_weights
from mededit_monai.training import prepared_network, warm_start

SIZE = {"channels": (8, 16), "attention_levels": (False, True), "norm_num_groups": 4, "num_head_channels": 8}


def network(in_channels: int = 3, seed: int = 0, **other) -> MaskConditionedUNet:
    torch.manual_seed(seed)
    made = MaskConditionedUNet(in_channels=in_channels, **(SIZE | other))
    with torch.no_grad():
        for weight in made.parameters():  # MONAI's last layers start at zero
            weight.copy_((0.1 * torch.randn_like(weight)).half())
    return made.eval()


@pytest.mark.parametrize("patch", [1, 2])
def test_new_input_channels_start_at_zero(tmp_path, patch):
    """With channels appended the network first computes what the old one did, whatever the new channels hold."""
    old, new = network(3, patch=patch), network(5, seed=1, patch=patch)
    save_weights(old, tmp_path / "old.pt")
    assert warm_start(new, tmp_path / "old.pt") == ["unet.conv_in.conv.weight"]
    x, extra, t = torch.randn(2, 3, 16, 16), torch.randn(2, 2, 16, 16), torch.tensor([5, 900])
    with torch.no_grad():
        assert torch.allclose(new(torch.cat([x, extra], dim=1), t), old(x, t), atol=1e-6)
        assert not torch.allclose(new(torch.cat([x + 1, extra], dim=1), t), old(x, t), atol=1e-3)


@pytest.mark.parametrize("patch", [1, 2])
def test_regions_take_over_the_mask_and_back(tmp_path, patch):
    """Core, edema and rim make up the mask: the same prediction; one mask channel from three is their mean."""
    old, new, back = network(3, patch=patch), network(5, seed=1, patch=patch), network(3, seed=2, patch=patch)
    save_weights(old, tmp_path / "mask.pt")
    assert warm_start(new, tmp_path / "mask.pt", "regions") == ["unet.conv_in.conv.weight"]
    labels = torch.randint(0, 4, (2, 1, 16, 16))
    regions = torch.cat([labels == label for label in (1, 2, 3)], dim=1).float()
    x, t = torch.randn(2, 2, 16, 16), torch.tensor([5, 900])
    with torch.no_grad():
        wanted = old(torch.cat([x, (labels > 0).float()], dim=1), t)
        assert torch.allclose(new(torch.cat([x, regions], dim=1), t), wanted, atol=1e-6)
    save_weights(new, tmp_path / "regions.pt")
    warm_start(back, tmp_path / "regions.pt")
    kernel, wanted = (n.unet.conv_in.conv.weight.detach() for n in (back, old))
    assert torch.allclose(kernel, wanted, atol=1e-3)


def test_the_same_network_takes_over_all(tmp_path):
    old, new = network(), network(seed=1)
    save_weights(old, tmp_path / "old.pt")
    assert prepared_network(new, "cpu", tmp_path / "old.pt", channels_last=True) is new
    assert all(torch.equal(v, old.state_dict()[k]) for k, v in new.state_dict().items())
    assert new.unet.conv_in.conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "given, wanted, words",
    [
        (network(6), network(3), ("conv_in", "(8, 24, 3, 3)", "(8, 12, 3, 3)", "added input channels")),
        (network(channels=(12, 16)), network(), ("has shape", "only added input channels")),
        (network(channels=(8, 8, 16), attention_levels=(False, False, True)), network(), ("of another network",)),
    ],
    ids=["fewer inputs", "other width", "other depth"],
)
def test_what_cannot_be_warm_started(tmp_path, given, wanted, words):
    save_weights(given, tmp_path / "given.pt")
    with pytest.raises(InputError) as caught:
        warm_start(wanted, tmp_path / "given.pt")
    for word in ("given.pt", *words):
        assert word in str(caught.value)

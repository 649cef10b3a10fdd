# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Warm starts."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import network_named
from mededit_monai.methods.semantic_synthesis import noisy_names
from mededit_monai.networks import MaskConditionedUNet, save_weights
from mededit_monai.networks.label_conditioned_unet import denoiser
from mededit_monai.training.network import prepared_network, warm_start

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


#: Family → places of x_t, the brain mask and the pathology channels that a mask starts, among its input channels.
PLACES = {"palette": (0, None, ())}


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("family", PLACES)
def test_other_families_take_over_what_they_share(tmp_path, family, patch, caplog):
    """Fed what the thesis's network knows, each computes what that did, whatever else it sees."""
    x_at, brain_at, lesion_at = PLACES[family]
    count, outputs = network_named(family).in_channels("mask"), network_named(family).outputs
    old, new = network(3, patch=patch), network(count, seed=1, patch=patch, out_channels=outputs)
    save_weights(old, tmp_path / "old.pt")
    with caplog.at_level(logging.INFO):
        warm_start(new, tmp_path / "old.pt", family=family)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([5, 900])
    seen = torch.randn(2, count, 16, 16)  # scans and regions: not looked at yet
    seen[:, x_at] = x[:, 0]
    if brain_at is None:
        x[:, 1:] = 0
    else:
        seen[:, 2:7], seen[:, brain_at] = 0, x[:, 1]
    with torch.no_grad():
        wanted = old(x, t)
        for place in lesion_at or (None,):  # as mask or as boxes
            shown = seen.clone()
            if place is not None:
                shown[:, place] = x[:, 2]
            found = new(shown, t)
            assert torch.allclose(found[:, :1], wanted, atol=1e-6)
            assert not found[:, 1:].any()
    assert "x_t taken" in caplog.text and "at zero" in caplog.text
    assert ("brain taken" in caplog.text) == (brain_at is not None)


@pytest.mark.parametrize("patch", [1, 2])
def test_fused_conditions_from_regions(tmp_path, patch):
    """Regions keep their weights; mask and boxes start with the mean of the three."""
    old, new = network(5, patch=patch), network(8, seed=1, patch=patch)
    save_weights(old, tmp_path / "regions.pt")
    warm_start(new, tmp_path / "regions.pt", family="paint")
    before, after = (n.unet.conv_in.conv.weight.detach().unflatten(1, (-1, patch**2)) for n in (old, new))
    assert torch.equal(after[:, 1], before[:, 1]) and torch.equal(after[:, 4:7], before[:, 2:])
    for place in (2, 3):
        assert torch.allclose(after[:, place], before[:, 2:].mean(1), atol=1e-3)
    assert not after[:, 0].any() and torch.equal(after[:, 7], before[:, 0])


def test_between_new_families(tmp_path):
    """Palette's two variants see the same channels; the painter sees the displaced scan as they saw x_t."""
    one, other = network(2), network(2, seed=1)
    save_weights(one, tmp_path / "palette.pt")
    assert warm_start(other, tmp_path / "palette.pt", family="palette_original") == []
    assert all(torch.equal(v, one.state_dict()[k]) for k, v in other.state_dict().items())
    painter = network(8, seed=1)
    assert warm_start(painter, tmp_path / "palette.pt", family="paint") == ["unet.conv_in.conv.weight"]
    before, after = (n.unet.conv_in.conv.weight.detach().unflatten(1, (-1, 4)) for n in (one, painter))
    assert torch.equal(after[:, 7], before[:, 0]) and not after[:, :7].any()


@pytest.mark.parametrize("patch", [1, 2])
def test_new_outputs_start_at_zero(tmp_path, patch):
    """Behind the old ones, cell by cell: MONAI's pixelshuffle keeps an output's cells together."""
    old, new = network(3, patch=patch), network(3, seed=1, patch=patch, out_channels=3)
    save_weights(old, tmp_path / "old.pt")
    assert warm_start(new, tmp_path / "old.pt") == ["unet.out.2.conv.weight", "unet.out.2.conv.bias"]
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([5, 900])
    with torch.no_grad():
        found = new(x, t)
        assert torch.allclose(found[:, :1], old(x, t), atol=1e-6) and not found[:, 1:].any()
    with pytest.raises(InputError, match="only added input channels"):
        save_weights(new, tmp_path / "new.pt")
        warm_start(old, tmp_path / "new.pt")


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


def test_checkpointing_keeps_less_and_has_the_same_gradient():
    """What autograd keeps is counted by its hooks; the gradients are equal bit for bit."""
    kept, gradients = [], []
    for checkpointing in (False, True):
        made = prepared_network(network(spatial_dims=3), "cpu", checkpointing=checkpointing)
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        x = torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = (made(x, torch.tensor([5])) ** 2).mean()
        kept.append(sum(sizes))
        loss.backward()
        gradients.append([weight.grad.clone() for weight in made.parameters() if weight.grad is not None])
    assert kept[1] < 0.5 * kept[0]
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


# --- networks of synthesis -------------------------------------------------------------------------------------------

FOUR = ("t1", "t1ce", "t2", "flair")
ALPHA_BARS = [0.9, 0.5, 0.1]


def of_synthesis(modalities: int, told: int, seed: int = 0, conditioning: str = "concat", **other) -> torch.nn.Module:
    """Of so many modalities, told of the brain and so many parts of a tumour."""
    torch.manual_seed(seed)
    size = {"spatial_dims": 3, "num_res_blocks": 1, "patch": 2, **SIZE, **other}
    made = denoiser(conditioning, in_channels=modalities + 1 + told, out_channels=modalities, **size)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_((0.1 * torch.randn_like(weight)).half())
    return made.eval()


def heads(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A noisy T1, a brain, and the parts of a tumour, 1x…x16x16x16; and a timestep."""
    made = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (1, 1, 16, 16, 16), generator=made)
    regions = torch.cat([labels == label for label in (1, 2, 3)], dim=1).float()
    return torch.randn(1, 1, 16, 16, 16, generator=made), (labels > 0).float(), regions, torch.tensor([1])


@pytest.mark.parametrize("guess", [None, ALPHA_BARS], ids=["", "linear guess"])
@pytest.mark.parametrize(
    ("conditioning", "patch"), [("concat", 1), ("concat", 2), ("spade", 2), ("cross_attention", 2)]
)
def test_four_modalities_with_regions_start_as_t1_with_a_mask(tmp_path, conditioning, patch, guess, caplog):
    """Shown the same T1, brain and tumour, in parts, it first draws the T1 that the old one drew, and nothing else."""
    how = {"conditioning": conditioning, "patch": patch, "alpha_bars": guess}
    old, new = of_synthesis(1, 1, **how), of_synthesis(4, 3, seed=1, **how)
    save_weights(old, tmp_path / "old.pt")
    with caplog.at_level(logging.INFO):
        warm_start(new, tmp_path / "old.pt", "regions", "med_ddpm", FOUR)
    noisy, brain, regions, t = heads()
    nothing = torch.zeros_like(noisy)
    with torch.no_grad():
        wanted = old(torch.cat([noisy, brain, regions.amax(1, keepdim=True)], dim=1), t)
        found = new(torch.cat([noisy, nothing, nothing, nothing, brain, regions], dim=1), t)
        elsewhere = new(torch.cat([noisy, nothing, nothing, nothing, regions.amax(1, keepdim=True), regions], dim=1), t)
    assert torch.allclose(found[:, :1], wanted, atol=1e-5) and wanted.abs().max() > 0.1
    assert not found[:, 1:].any() and not torch.allclose(elsewhere[:, :1], wanted, atol=5e-5)
    for words in ("t1 taken", "t1ce at zero", "brain taken", "core as mask, edema as mask, rim as mask"):
        assert words in caplog.text


def test_whose_modalities_they_are_is_asked_of_their_training(tmp_path):
    """As the second of four goes to its own place, in and out; a mask that was made of regions is their mean."""
    old, new = of_synthesis(2, 3), of_synthesis(4, 1, seed=1)  # both have six inputs
    save_weights(old, tmp_path / "old.pt")
    (tmp_path / "old.json").write_text(json.dumps({"settings": {"modalities": ["flair", "t1ce"]}}))
    warm_start(new, tmp_path / "old.pt", "mask", "med_ddpm", FOUR)
    before, after = (one.unet.conv_in.conv.weight.detach().unflatten(1, (-1, 8)) for one in (old, new))
    assert torch.equal(after[:, 3], before[:, 0]) and torch.equal(after[:, 1], before[:, 1])
    assert torch.equal(after[:, 4], before[:, 2]) and torch.allclose(after[:, 5], before[:, 3:].mean(1), atol=1e-3)
    assert not after[:, [0, 2]].any()
    for kind in ("weight", "bias"):
        given, got = (getattr(one.unet.out[2].conv, kind).detach().unflatten(0, (-1, 8)) for one in (old, new))
        assert torch.equal(got[3], given[0]) and torch.equal(got[1], given[1]) and not got[[0, 2]].any()


def test_as_many_modalities_that_are_all_others_start_as_each_other(tmp_path):
    """A network of T1 goes on from one of T2 better than from nothing; so do latents from another autoencoder's."""
    old, new = of_synthesis(1, 1), of_synthesis(1, 3, seed=1)
    save_weights(old, tmp_path / "old.pt")
    (tmp_path / "training.json").write_text(json.dumps({"settings": {"modalities": ["t2"]}}))
    assert warm_start(new, tmp_path / "old.pt", "regions", "med_ddpm", ("t1",))
    before, after = (one.unet.conv_in.conv.weight.detach().unflatten(1, (-1, 8)) for one in (old, new))
    assert torch.equal(after[:, 0], before[:, 0]) and torch.equal(after[:, 1], before[:, 1])
    assert torch.equal(new.unet.out[2].conv.weight, old.unet.out[2].conv.weight)


def test_latents_are_no_modalities(tmp_path):
    """What a network of voxels has learned of T1 says nothing of an autoencoder's latents; of the masks it does."""
    old, new = of_synthesis(1, 1), of_synthesis(4, 1, seed=1)
    save_weights(old, tmp_path / "old.pt")
    (tmp_path / "old.json").write_text(json.dumps({"settings": {"modalities": ["t1"], "autoencoder_sha256": None}}))
    warm_start(new, tmp_path / "old.pt", "mask", "med_ddpm", noisy_names(["t1"], 4))
    before, after = (one.unet.conv_in.conv.weight.detach().unflatten(1, (-1, 8)) for one in (old, new))
    assert not after[:, :4].any() and torch.equal(after[:, 4:], before[:, 1:])
    assert not new.unet.out[2].conv.weight.any()


@pytest.mark.parametrize(
    ("given", "noisy", "condition"),
    [((4, 3), ("t1",), "mask"), ((1, 1, 0, "concat"), ("t1",), "regions")],
    ids=["fewer modalities", "other width"],
)
def test_what_a_network_of_synthesis_cannot_start_from(tmp_path, given, noisy, condition):
    save_weights(of_synthesis(*given), tmp_path / "given.pt")
    new = of_synthesis(len(noisy), 3 if condition == "regions" else 1, channels=(8, 24))
    with pytest.raises(InputError, match="given.pt: .* has shape .*only added input channels"):
        warm_start(new, tmp_path / "given.pt", condition, "med_ddpm", noisy)

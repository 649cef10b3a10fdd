# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that are told of labels by normalisation or attention: what reaches which part, and what comes out."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from monai.networks.utils import pixelunshuffle

from mededit_monai.core.errors import InputError
from mededit_monai.networks import MaskConditionedUNet
from mededit_monai.networks.label_conditioned_unet import CrossAttentionUNet, SpadeUNet, denoiser, position_code
from mededit_monai.training.network import checkpointed

KINDS = {"concat": MaskConditionedUNet, "spade": SpadeUNet, "cross_attention": CrossAttentionUNet}
SIZES = {"channels": (8, 16), "attention_levels": (False, False), "num_res_blocks": 1, "num_head_channels": 8}
SIZES |= {"norm_num_groups": 4, "patch": 2}
TOLD = [name for name in KINDS if name != "concat"]


def network(conditioning: str, dims: int = 3, modalities: int = 2, labels: int = 2, **sizes) -> torch.nn.Module:
    """One whose outputs are not zero, as those of MONAI's are at first."""
    torch.manual_seed(0)
    made = denoiser(conditioning, dims, modalities + labels, modalities, **{**SIZES, **sizes}).eval()
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def volumes(seed: int = 0, dims: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy volume of two modalities, and labels of two classes, 0 and 1."""
    rng = torch.Generator().manual_seed(seed)
    noisy, labels = torch.randn(1, 2, *[8] * dims, generator=rng), torch.zeros(1, 2, *[8] * dims)
    labels[:, 0, 1:7, 1:7], labels[:, 1, 3:5, 2:4] = 1, 1
    return noisy, labels


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("conditioning", list(KINDS))
def test_one_tensor_is_enough(conditioning, dims):
    made, (noisy, labels) = network(conditioning, dims), volumes(dims=dims)
    assert type(made) is KINDS[conditioning] and made.multiple == 4
    x = torch.cat([noisy, labels], dim=1)
    answer = made(x)
    assert answer.shape == noisy.shape and torch.equal(answer, made(x, timesteps=torch.tensor([0])))
    assert not torch.allclose(answer, made(x, timesteps=torch.tensor([200])))
    with pytest.raises(ValueError, match="context must be None"):
        made(x, context=noisy)


@pytest.mark.parametrize("conditioning", list(KINDS))
def test_every_label_counts_wherever_it_lies(conditioning):
    """Moved within a cell of two voxels, which a label map that is thinned out would not show; and another class."""
    made, (noisy, labels) = network(conditioning), volumes()
    answer = made(torch.cat([noisy, labels], dim=1))
    for changed in (labels.roll(1, dims=2), labels.flip(1), labels * 0):
        with torch.no_grad():
            assert (made(torch.cat([noisy, changed], dim=1)) - answer).abs().max() > 1e-4
    one = labels.clone()
    one[0, 1, 5, 5, 5] = 1 - one[0, 1, 5, 5, 5]  # an odd voxel
    assert (made(torch.cat([noisy, one], dim=1)) - answer).abs().max() > 1e-6


@pytest.mark.parametrize("conditioning", TOLD)
def test_labels_go_their_own_way_and_nothing_else_does(conditioning):
    """The U-Net's input holds x_t and no label; what it is told beside it holds the labels and nothing of x_t."""
    made, seen = network(conditioning), []
    made.unet.register_forward_pre_hook(lambda _, args, named: seen.append((args[0], named)), with_kwargs=True)
    key = "seg" if conditioning == "spade" else "context"
    (noisy, labels), (other, _) = volumes(0), volumes(1)
    with torch.no_grad():
        for pair in ((noisy, labels), (noisy, labels.flip(1)), (other, labels)):
            made(torch.cat(pair, dim=1))
    (first, told), (same, told_otherwise), (another, told_again) = ((x, named[key]) for x, named in seen)
    assert torch.equal(first, same) and not torch.equal(first, another)
    assert torch.equal(told, told_again) and not torch.equal(told, told_otherwise)


def test_spade_is_given_every_voxel_of_a_cell():
    made, seen = network("spade"), []
    made.unet.register_forward_pre_hook(lambda _, args, named: seen.append(named["seg"]), with_kwargs=True)
    noisy, labels = volumes()
    with torch.no_grad():
        made(torch.cat([noisy, labels], dim=1))
    assert torch.equal(seen[0], pixelunshuffle(labels, 3, 2)) and seen[0].sum() == labels.sum()


def test_a_token_for_each_position_of_the_lowest_level():
    """Cells of four voxels: 2 x 2 x 2 tokens, as wide as that level; a voxel changes its own cell's."""
    made, seen = network("cross_attention"), []
    made.unet.register_forward_pre_hook(lambda _, args, named: seen.append(named["context"][0]), with_kwargs=True)
    noisy, labels = volumes()
    with torch.no_grad():
        made(torch.cat([noisy, labels], dim=1))
        labels[0, 1, 6, 1, 7] = 1  # in the cell (1, 0, 1), the sixth
        made(torch.cat([noisy, labels], dim=1))
    assert seen[0].shape == (8, 16) and len({tuple(token.tolist()) for token in seen[0]}) == 8  # none is another's
    assert (seen[0] != seen[1]).any(dim=1).tolist() == [token == 5 for token in range(8)]


def test_the_code_of_a_place():
    """sin and cos of π x, 2π x, 4π x, from the grid's left edge at x = -1/2 to its right one."""
    code = position_code(torch.zeros(2, 1, 4, 2, 2))
    assert code.shape == (2, 18, 4, 2, 2) and torch.equal(code[0], code[1])
    approx = partial(pytest.approx, abs=1e-6)
    x = [-0.375, -0.125, 0.125, 0.375]
    for wave in range(3):
        assert code[0, 3 * wave, :, 0, 0].tolist() == approx([math.sin(math.pi * 2**wave * at) for at in x])
        assert code[0, 9 + 3 * wave, :, 1, 1].tolist() == approx([math.cos(math.pi * 2**wave * at) for at in x])
    fine = position_code(torch.zeros(1, 1, 8, 2, 2))[0, 0, :, 0, 0]
    coarse = code[0, 0, :, 0, 0]
    assert (fine.view(4, 2).mean(dim=1) - coarse).abs().max() < 0.02  # a place has the same code on any grid


@pytest.mark.parametrize("conditioning", TOLD)
def test_blocks_that_forget_have_the_same_gradient(conditioning):
    noisy, labels = volumes()
    found = []
    for forget in (False, True):
        made = network(conditioning).train()
        if forget:
            checkpointed(made)
        made(torch.cat([noisy, labels], dim=1)).square().mean().backward()
        found.append(torch.cat([one.grad.flatten() for one in made.parameters() if one.grad is not None]))
    assert torch.allclose(*found, atol=1e-6) and found[0].abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", TOLD)
def test_it_learns_from_the_labels_alone(conditioning):
    """Noise as input, the labels as what is wanted: the error falls far below 3/16, the best that is without them."""
    made, rng = network(conditioning, 2, 1, 1, channels=(16, 32)).train(), torch.Generator().manual_seed(0)
    optimizer, losses = torch.optim.Adam(made.parameters(), lr=3e-3), []
    for _ in range(160):
        labels = torch.zeros(8, 1, 16, 16)
        for k, at in enumerate(torch.randint(0, 4, (8,), generator=rng).tolist()):
            labels[k, 0, :, 4 * at : 4 * at + 4] = 1
        loss = (made(torch.cat([torch.randn(8, 1, 16, 16, generator=rng), labels], dim=1)) - labels).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) / 20 < 0.02


def test_refusals():
    with pytest.raises(
        InputError, match="--conditioning: got 'spad', wanted one of concat, spade, cross_attention; did"
    ):
        network("spad")
    with pytest.raises(InputError, match="--channels: got 6, wanted a multiple of --norm_num_groups"):
        network("spade", channels=(6, 8))

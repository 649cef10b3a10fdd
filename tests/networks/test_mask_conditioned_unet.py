# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.networks import MaskConditionedUNet


def small(spatial_dims: int = 2, **settings) -> MaskConditionedUNet:
    """A small network whose weights are all drawn: a new ``DiffusionModelUNet`` ends in zeros and answers 0."""
    settings = {"channels": (8, 16), "attention_levels": (False, True), **settings}
    torch.manual_seed(0)
    network = MaskConditionedUNet(spatial_dims, num_head_channels=8, norm_num_groups=4, **settings).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0, 0.2)
    return network


def predict(network: MaskConditionedUNet, x: torch.Tensor, *arguments, **keywords) -> torch.Tensor:
    with torch.no_grad():
        return network(x, *arguments, **keywords)


class FirstCells(torch.nn.Module):
    """Stands in for the U-Net: passes the cells of one input channel on, and keeps what it was given."""

    def __init__(self, cells: int, channel: int) -> None:
        super().__init__()
        self.cells, self.channel = cells, channel

    def forward(self, x, timesteps):
        self.seen, self.timesteps = x, timesteps
        return x[:, self.channel * self.cells : (self.channel + 1) * self.cells]


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("spatial_dims, patch", [(2, 1), (2, 2), (2, 4), (3, 1), (3, 2)])
def test_folding_is_undone_pixel_by_pixel(spatial_dims, patch, channel):
    network = small(spatial_dims, patch=patch)
    network.unet = FirstCells(patch**spatial_dims, channel)
    x = torch.randn(2, 3, *(8, 16, 24)[:spatial_dims])
    assert torch.equal(predict(network, x, torch.tensor([3, 4])), x[:, channel : channel + 1])
    assert network.unet.seen.shape[2:] == tuple(n // patch for n in x.shape[2:])
    assert network.unet.timesteps.tolist() == [3, 4]


def test_a_cell_holds_neighbours():
    """With patch 2 the four features of a position are the pixels of one 2×2 cell."""
    network = small(patch=2)
    network.unet = FirstCells(4, 0)
    x = torch.zeros(1, 3, 4, 4)
    x[0, 0] = torch.arange(16.0).reshape(4, 4)
    predict(network, x, torch.zeros(1))
    assert sorted(network.unet.seen[0, :4, 0, 1].tolist()) == [2, 3, 6, 7]


@pytest.mark.parametrize("spatial_dims, size", [(2, (16, 24)), (3, (8, 16, 8))])
def test_every_input_channel_and_the_timestep_count(spatial_dims, size):
    network, x = small(spatial_dims), torch.randn(1, 3, *size)
    before = predict(network, x, torch.tensor([500]))
    assert before.std() > 0
    for channel in range(3):
        other = x.clone()
        other[:, channel] += 1
        assert (predict(network, other, torch.tensor([500])) - before).abs().max() > 1e-3, channel
    assert (predict(network, x, torch.tensor([10])) - before).abs().max() > 1e-3


@pytest.mark.parametrize("spatial_dims, size, patch", [(2, (16, 24), 1), (3, (8, 16, 8), 2)])
@pytest.mark.parametrize(("kind", "deviation"), [("scan", 0.5), ("latent", 1.0)])
def test_a_linear_guess_is_shown_and_the_answer_put_right(spatial_dims, size, patch, kind, deviation):
    sizes, bars = {"in_channels": 5, "out_channels": 2, "patch": patch}, [1.0, 0.64, 0.0]
    network, plain = small(spatial_dims, alpha_bars=bars, denoised_kind=kind, **sizes), small(spatial_dims, **sizes)
    assert network.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(network.state_dict())
    x, t = torch.randn(3, 5, *size), torch.tensor([2, 1, 0])
    found = predict(network, x, t)
    assert torch.allclose(found[2], x[2, :2], atol=1e-6)  # without noise it is what is seen, whatever is drawn
    signal, noise = 0.64 * deviation**2, 0.36
    g, k = 0.8 * deviation**2 / (signal + noise), 0.8 * (deviation / 10) ** 2 / (signal / 100 + noise)
    for row, (shown, kept, rest) in enumerate([(0, 0, 1), (g, k, 1 - 0.8 * k)]):
        answer = predict(plain, torch.cat([shown * x[row, :2], x[row, 2:]])[None], t[row : row + 1])[0]
        assert torch.allclose(found[row], kept * x[row, :2] + rest * answer, atol=1e-5)


def test_without_timesteps_it_is_level_zero():
    network, x = small(), torch.randn(2, 3, 16, 16)
    assert torch.equal(predict(network, x), predict(network, x, timesteps=torch.tensor([0, 0])))


def test_each_element_has_its_own_timestep():
    network, x = small(), torch.randn(2, 3, 16, 16)
    both = predict(network, x, torch.tensor([7, 700]))
    for k, t in ((0, 7), (1, 700)):
        assert torch.allclose(both[k : k + 1], predict(network, x[k : k + 1], torch.tensor([t])), atol=1e-4)


def test_a_new_network_predicts_zero():
    network = MaskConditionedUNet(channels=(16, 32), attention_levels=(False, False))
    assert not predict(network, torch.randn(1, 3, 16, 16)).any()


@pytest.mark.parametrize("levels, patch, multiple", [(1, 1, 1), (2, 2, 4), (3, 2, 8), (2, 4, 8)])
def test_sides_must_be_multiples(levels, patch, multiple):
    network = small(channels=(8,) * levels, attention_levels=(False,) * levels, patch=patch)
    assert network.multiple == multiple
    x = torch.randn(1, 3, 3 * multiple, 2 * multiple)
    assert predict(network, x).shape == (1, 1, 3 * multiple, 2 * multiple)
    if multiple > 1:
        with pytest.raises((RuntimeError, ValueError)):
            predict(network, torch.randn(1, 3, 3 * multiple - multiple // 2, 2 * multiple))


@pytest.mark.parametrize("patch", [0, -1])
def test_refuses_a_patch_without_pixels(patch):
    with pytest.raises(ValueError, match=f"at least 1, got {patch}"):
        MaskConditionedUNet(patch=patch)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"channels": [8, 12]}, "--channels: got 12, wanted a multiple of --norm_num_groups, 8"),
        ({"channels": []}, "--channels: got .*, wanted a list"),
        ({"attention_levels": [True]}, "--attention_levels: got .*, wanted 2 times true or false"),
        ({"num_head_channels": 5}, "--channels: got 16 where there is attention, wanted a multiple of"),
        ({"norm_num_groups": 0}, "--norm_num_groups: got 0"),
    ],
)
def test_sizes_that_do_not_go_together(sizes, words):
    known = {"channels": [8, 16], "attention_levels": [False, False], "norm_num_groups": 8, "num_head_channels": 8}
    MaskConditionedUNet(**known)
    with pytest.raises(InputError, match=words):
        MaskConditionedUNet(**(known | sizes))


def test_refuses_a_context():
    with pytest.raises(ValueError, match="context must be None"):
        small()(torch.zeros(1, 3, 16, 16), torch.zeros(1), context=torch.zeros(1, 1, 4))

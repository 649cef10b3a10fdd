# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painter's network: a share of each pixel is replaced by a level."""

from __future__ import annotations

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.methods.build import method_network
from mededit_monai.methods.paint import CHANGE_SCALE
from mededit_monai.networks import PaintNetwork

SIZE = {"channels": (16, 32), "attention_levels": (False, False)}


def network_that_says(share: float, level: float) -> PaintNetwork:
    """Its last layer is a constant: cells of four pixels for the share, then four for the level."""
    network = PaintNetwork(in_channels=8, **SIZE).eval()
    last = network.unet.out[-1].conv
    assert not last.weight.any() and last.bias.shape == (8,)
    last.bias.data = torch.tensor([torch.logit(torch.tensor(share))] * 4 + [level] * 4)
    return network


@pytest.mark.parametrize("share, level", [(0.999999, -0.8), (0.25, 0.4)])
def test_it_replaces_a_share_of_each_pixel_by_a_level(share, level):
    """Painted = (1 - a) displaced + a m: a cavity is even whatever was there, edema lets the tissue shine through."""
    x = torch.randn(2, 8, 32, 32, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    y0 = network_that_says(share, level)(x, timesteps=torch.tensor([3, 900]))
    displaced = x[:, -1:]
    assert y0.shape == (2, 1, 32, 32) and y0.dtype == torch.float32
    painted = displaced + CHANGE_SCALE * y0
    assert torch.allclose(painted, (1 - share) * displaced + share * level, atol=1e-5)


def test_it_is_the_painters_and_answers_a_single_tensor():
    size = {
        "channels": (16, 16, 32, 32),
        "num_res_blocks": 1,
        "num_head_channels": 32,
        "norm_num_groups": 16,
        "patch": 2,
    }
    network = method_network("morph", "mask", spatial_dims=2, attention_levels=(False,) * 4, **size)
    assert isinstance(network, PaintNetwork) and network.out_channels == 1 and network.scale == CHANGE_SCALE
    assert network(torch.zeros(1, 8, 32, 32)).shape == (1, 1, 32, 32)


VOLUMES = {"spatial_dims": 3, "in_channels": 8, "patch": 4, "cell_channels": 16, **SIZE}


def test_layers_at_each_voxel_begin_by_changing_nothing():
    torch.manual_seed(0)
    fine = PaintNetwork(fine_channels=4, **VOLUMES).eval()
    torch.nn.init.normal_(fine.unet.out[-1].conv.weight, std=0.1)
    plain = PaintNetwork(**VOLUMES).eval()
    state = {name: tensor for name, tensor in fine.state_dict().items() if not name.startswith("fine.")}
    for name in ("unet.out.2.conv.weight", "unet.out.2.conv.bias"):  # share and level stand before the features
        state[name] = state[name][: 2 * 4**3]
    plain.load_state_dict(state)
    x = torch.randn(1, 8, 16, 16, 16)
    assert fine(x).shape == (1, 1, 16, 16, 16) and torch.equal(fine(x), plain(x))


def test_layers_at_each_voxel_see_edges_within_a_cell():
    """The cells' U-Net says the same everywhere: what is left is the voxel's own mask and that of its neighbours."""
    torch.manual_seed(0)
    network = PaintNetwork(fine_channels=4, **VOLUMES).eval()
    torch.nn.init.normal_(network.fine[-1].conv.weight)
    x = torch.zeros(1, 8, 16, 16, 16)
    x[:, 2, 6:] = 1
    shares = network(x)[0, 0, :, 8, 8]
    at_once = [shares[k + 1] - shares[k] for k in range(1, 14)]
    assert [k for k, step in zip(range(2, 15), at_once) if step.abs() > 1e-6] == [5, 6, 7]


@pytest.mark.parametrize("name", ["fine_channels", "cell_channels"])
def test_widths_are_whole_numbers(name):
    with pytest.raises(InputError, match=f"^--{name}: .*-1"):
        PaintNetwork(in_channels=8, **{name: -1}, **SIZE)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Single volumes on a CPU: the same numbers by quicker convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mededit_monai.networks.convolutions import OneDnnConvolutions, neighbour_mean, quick_volumes


class Layers(nn.Module):
    """Convolutions of each kind that the networks have."""

    def __init__(self) -> None:
        super().__init__()
        kinds = ({"padding": 1}, {"padding": 2, "dilation": 2}, {"padding": 1, "stride": 2}, {"padding": "same"})
        self.layers = nn.ModuleList(nn.Conv3d(4, 4, 3, **kind) for kind in kinds)
        self.layers += [nn.Conv3d(4, 6, 1), nn.Conv3d(6, 4, 1, stride=2), nn.Conv3d(4, 4, 1, bias=False)]

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @quick_volumes
    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return scale * self.plain(x)


@pytest.fixture
def asked(monkeypatch):
    """How often oneDNN was asked for by name."""
    calls, real = [], torch.mkldnn_convolution
    monkeypatch.setattr(torch, "mkldnn_convolution", lambda *args: calls.append(args[0].shape) or real(*args))
    return calls


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_one_volume_has_the_same_values(asked):
    network, x = Layers(), torch.randn(1, 4, 8, 10, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, wanted = network(x, scale=2.0), 2 * network.plain(x)
    assert len(asked) == 5  # a padding in words is left to torch, a voxel's own convolution is a product
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_training_is_left_alone(asked):
    """Gradient checkpointing computes parts of a network again, outside of its forward."""
    Layers()(torch.zeros(1, 4, 8, 8, 8)).sum().backward()
    assert not asked


@pytest.mark.parametrize("batch", [torch.zeros(2, 4, 8, 8, 8), torch.zeros(1, 4, 8, 8, 8, dtype=torch.float64)])
def test_others_are_left_to_torch(batch, asked):
    with torch.no_grad():
        Layers().to(batch.dtype)(batch)
    assert not asked


def test_autocast_keeps_its_type(asked):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert Layers()(torch.zeros(1, 4, 8, 8, 8)).dtype == torch.bfloat16
    assert not asked


def test_what_is_recorded_runs_anywhere(asked):
    with torch.no_grad():
        traced = torch.jit.trace(Layers(), torch.zeros(1, 4, 8, 8, 8), check_trace=False)
    assert not asked and "mkldnn" not in str(traced.inlined_graph)


def test_slices_and_other_functions_pass_through():
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    layer = nn.Conv2d(2, 3, 3)
    with OneDnnConvolutions():
        found = layer(x)
    assert torch.equal(found, layer(x))


@pytest.mark.parametrize(("shape", "pool"), [((2, 3, 5, 1), nn.AvgPool2d), ((1, 2, 6, 4, 3), nn.AvgPool3d)])
def test_the_mean_of_neighbours(shape, pool):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    before = x.clone()
    assert torch.allclose(neighbour_mean(x), pool(3, stride=1, padding=1, count_include_pad=False)(x), atol=1e-6)
    assert torch.equal(x, before)

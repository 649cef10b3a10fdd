# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Half precision on a CPU: only where the CPU has it, and near to single precision, also where torch itself is not."""

from __future__ import annotations

import logging

import pytest
import torch

from mededit_monai.core import devices
from mededit_monai.core.devices import autocast_on_cpu, cpu_autocast, takes_bf16
from mededit_monai.networks import MaskConditionedUNet
from mededit_monai.training.network import checkpointed


@pytest.fixture(autouse=True)
def capable(monkeypatch):
    """A CPU that takes bf16, whatever this one is."""
    monkeypatch.setattr(devices, "takes_bf16", lambda: True)


@pytest.mark.parametrize(("capability", "wanted"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_which_cpus_take_bf16(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert takes_bf16() is wanted


def test_other_cpus_compute_in_single_precision_and_say_so(monkeypatch, caplog):
    """Torch would emulate bf16 there, 30 times slower than single precision."""
    monkeypatch.setattr(devices, "takes_bf16", lambda: False)
    devices._say_single.cache_clear()
    network, seen = torch.nn.Linear(4, 4), []
    network.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            autocast_on_cpu(lambda y: network(y), "bf16", "cpu")(torch.ones(1, 4))
            with cpu_autocast("bf16"):
                network(torch.ones(1, 4))
    assert seen == [torch.float32] * 4
    assert len(caplog.records) == 1 and "AVX-512" in caplog.text
    devices._say_single.cache_clear()


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 4, 4), (2, 2, 1), (4, 2, 4), (1, 1, 1), (8, 8, 8)])
def test_gradients_of_thin_volumes(shape):
    """In torch 2.13 they are what lay in memory where the first side is 2."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(32, 48, 3, padding=1)
    x, weight = torch.randn(2, 32, *shape), torch.randn(2, 48, *shape)
    found = []
    for ask in (network, autocast_on_cpu(lambda y: network(y), "bf16", "cpu")):
        network.zero_grad()
        junk = [torch.full((48, 32, 3, 3, 3), 1e30) for _ in range(10)]  # what memory is to hold
        del junk
        output = ask(x)
        assert output.dtype == torch.float32
        (output * weight).sum().backward()
        found.append(network.weight.grad.clone())
    assert (found[1] - found[0]).norm() < 0.03 * found[0].norm()


def test_it_is_half_precision_elsewhere():
    network = torch.nn.Conv3d(4, 4, 3, padding=1)
    seen = []
    network.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    ask = autocast_on_cpu(lambda y: network(y), "bf16", "cpu")
    for side in (8, 2):
        ask(torch.randn(1, 4, side, 4, 4))
    assert seen == [torch.bfloat16, torch.float32]


def test_thin_volumes_are_the_same_on_the_way_back():
    """Blocks that compute their activations again do so as they did at first."""
    torch.manual_seed(0)
    size = {"channels": (16, 16), "attention_levels": (False, False), "norm_num_groups": 4, "num_head_channels": 8}
    plain, again = (MaskConditionedUNet(3, 2, 1, patch=1, **size) for _ in range(2))
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    again.load_state_dict(plain.state_dict())
    checkpointed(again)
    x = torch.randn(1, 2, 4, 4, 4)
    for network in (plain, again):
        autocast_on_cpu(lambda y, network=network: network(y), "bf16", "cpu")(x).square().mean().backward()
    for one, other in zip(plain.parameters(), again.parameters()):
        assert one.grad is None and other.grad is None or torch.equal(one.grad, other.grad)

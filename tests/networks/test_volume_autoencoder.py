# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Volumes to latents and back: their scale, their grid, and what the noise does."""

from __future__ import annotations

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.networks import VolumeAutoencoder, load_weights, save_weights
from mededit_monai.training.network import checkpointed


def network(modalities: int = 2, channels=(8, 8, 16), latent_channels: int = 3) -> VolumeAutoencoder:
    torch.manual_seed(0)
    return VolumeAutoencoder(modalities, channels, latent_channels).eval()


def volumes(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 2, 16, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_latents_of_unit_spread():
    made, given = network(), volumes()
    made.measure([given[:2], given[2:]])
    found = made.latents(given)
    assert found.shape == (3, 3, 4, 2, 2) and float(found.std()) == pytest.approx(1, abs=1e-5)
    assert float(found.abs().max()) == pytest.approx(float(made.reach), rel=1e-5)
    with torch.no_grad():
        mean, _ = made.encode(given)
    assert torch.allclose(found, mean / mean.std(), atol=1e-5)
    assert torch.allclose(made.volumes(found), made(given)[0], atol=1e-4)  # there and back is what the network gives


def test_noise_moves_the_latents_by_their_own_spread(monkeypatch):
    made, given, decoded = network(), volumes(), []
    noise = torch.randn(3, 3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    decode = made.decode
    monkeypatch.setattr(made, "decode", lambda latents: decode(decoded.append(latents) or latents))
    with torch.no_grad():
        _, mean, deviation = made(given)
        made(given, noise)
    assert torch.equal(decoded[0], mean) and torch.allclose(decoded[1] - mean, deviation * noise, atol=1e-6)


def test_shares_of_masks():
    """Cells of four voxels: a mask of half a cell is 0.5 there; what it covers in all stays."""
    mask = torch.zeros(1, 1, 8, 4, 4)
    mask[..., :6, :, :] = 1
    assert network().on_its_grid(mask).flatten().tolist() == [1.0, 0.5]


def test_the_scale_is_in_the_weight_file(tmp_path):
    made, given = network(), volumes()
    assert float(made.scale) == 0  # not measured
    made.measure([given])
    save_weights(made, tmp_path / "model.pt")
    loaded = load_weights(network(), tmp_path / "model.pt")
    assert float(loaded.scale) == pytest.approx(float(made.scale), rel=1e-3)
    assert torch.allclose(loaded.latents(given), made.latents(given), atol=0.02)


def test_blocks_that_forget_have_the_same_gradient():
    found = []
    for forget in (False, True):
        made = network().train()
        if forget:
            checkpointed(made)
        made(volumes())[0].square().mean().backward()
        found.append(torch.cat([one.grad.flatten() for one in made.parameters() if one.grad is not None]))
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "latents", "sentence"),
    [
        ((8, 10), 4, "--autoencoder_channels: got 10, wanted a multiple of 4; change it."),
        ((), 4, "--autoencoder_channels: got .*, wanted a list of 1 to 10 whole numbers"),
        (8, 4, "--autoencoder_channels: got 8, wanted a list"),
        ((8, 8), 0, "--latent_channels: got 0, wanted a whole number of at least 1"),
    ],
)
def test_refusals(channels, latents, sentence):
    with pytest.raises(InputError, match=sentence):
        VolumeAutoencoder(1, channels, latents)

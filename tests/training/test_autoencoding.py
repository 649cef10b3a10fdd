# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an autoencoder is trained on, and what a diffusion makes of it."""

from __future__ import annotations

import math

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from mededit_monai.core.errors import InputError
from mededit_monai.networks import VolumeAutoencoder
from mededit_monai.training.autoencoding import AskAutoencoder, AutoencoderLoss, AutoencoderPrepareBatch
from mededit_monai.training.prepare_batch import MaskConditionedPrepareBatch

SCHEDULER = DDPMScheduler(num_train_timesteps=250, schedule="cosine")
SIZE = {"autoencoder_channels": (8, 8), "latent_channels": 3}


def batch() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    brain, pathology = torch.zeros(2, 2, 1, 8, 8, 8)
    brain[..., 1:7, 1:7, 1:7], pathology[0, ..., 2:4, 2:4, 2:3] = 1, 1
    image = torch.rand(2, 1, 8, 8, 8, generator=rng)
    return {"image": image, "brain": brain, "pathology": pathology, "seed": torch.tensor([5, 6])}


def autoencoder() -> VolumeAutoencoder:
    torch.manual_seed(0)
    made = VolumeAutoencoder(1, (8, 8), 3).eval()
    made.measure([batch()["image"] * 2 - 1])
    return made


def test_the_loss_by_hand():
    """A difference of 0.5 everywhere; latents of mean 1 and spread 2: (1 + 4 - ln 4 - 1) / 2 each."""
    volumes, mean = torch.zeros(2, 1, 4, 4, 4), torch.ones(2, 3, 2, 2, 2)
    target = {"value": volumes + 0.5}
    divergence = (4 - math.log(4)) / 2
    for kind, difference in (("l1", 0.5), ("mse", 0.25), ("huber", 0.125)):
        found = AutoencoderLoss(kind, kl_weight=0.1)((volumes, mean, 2 * mean), target)
        assert float(found) == pytest.approx(difference + 0.1 * divergence)
    assert float(AutoencoderLoss("l1", 1.0)((volumes, 0 * mean, mean), {"value": volumes})) == 0


def test_volumes_are_their_own_target_and_noise_is_a_case_s_own():
    image, target, _, more = AutoencoderPrepareBatch(**SIZE)(batch())
    assert torch.equal(target["value"], image) and torch.equal(image, batch()["image"] * 2 - 1)
    assert more["noise"].shape == (2, 3, 4, 4, 4)
    alone = {name: tensor[1:] for name, tensor in batch().items()}
    assert torch.equal(AutoencoderPrepareBatch(**SIZE)(alone)[3]["noise"][0], more["noise"][1])
    assert AutoencoderPrepareBatch(even=True, **SIZE)(batch())[3] == {"noise": None}
    made = autoencoder()
    with torch.no_grad():
        asked, direct = AskAutoencoder()(image, made, **more), made(image, more["noise"])
    assert all(torch.equal(*pair) for pair in zip(asked, direct))


@pytest.mark.parametrize("name", ["min_snr_gamma", "lesion_weight"])
def test_weightings_are_refused(name):
    with pytest.raises(InputError, match=f"--{name}: got 2, wanted none with --family autoencoder; leave it out"):
        AutoencoderPrepareBatch(**{name: 2})


def test_a_diffusion_of_latents():
    """Its image is the scaled latents, its condition the masks' shares, its noise and weights on their grid."""
    made, given = autoencoder(), batch()
    prepare = MaskConditionedPrepareBatch(SCHEDULER, autoencoder=made, lesion_weight=2.0)
    image, target, _, more = prepare(given)
    assert torch.equal(image, made.latents(given["image"] * 2 - 1)) and float(image.std()) == pytest.approx(1, abs=1e-5)
    assert more["noise"].shape == image.shape and torch.equal(target["value"], more["noise"])
    condition = more["condition"]
    assert condition.shape == (2, 2, 4, 4, 4)
    assert condition[0, 1].max() == 0.5 and condition[0, 1, 1, 1, 1] == 0.5  # 2 x 2 x 1 voxels of a cell of 8
    assert float(condition[1, 0].sum()) * 8 == float(given["brain"][1].sum())
    assert target["weight"].shape == (2, 1, 4, 4, 4) and float(target["weight"].max()) == 2.0

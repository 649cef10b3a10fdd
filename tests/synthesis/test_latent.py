# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Latent diffusion by the bundle's overlays at toy size: autoencoder, diffusion, volumes; and what is refused."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from synthesis.heads import label_array, write_heads, write_label

from mededit_monai.core.errors import InputError
from mededit_monai.networks import VolumeAutoencoder, load_weights, save_weights
from mededit_monai.synthesis.latent import frozen_autoencoder
from mededit_monai.workflows import synthesize, train

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
AUTOENCODER, LATENT = (BUNDLE / "configs" / f"{name}.yaml" for name in ("autoencoder", "latent"))
SIZE = {"side": 16, "depth": 16, "device": "cpu", "progress": False}
TINY = {"autoencoder_channels": [8, 8], "latent_channels": 2}
TOY = {**SIZE, **TINY, "channels": [8, 8], "attention_levels": [False] * 2, "norm_num_groups": 4}
TOY |= {"num_head_channels": 8}
SHORT = {"epoch_cases": 2, "max_epochs": 2, "val_cases": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of both trainings."""
    folder = tmp_path_factory.mktemp("latent")
    datalist = str(write_heads(folder, 16, (2, 2)))
    first = train(BUNDLE, [AUTOENCODER], datalist=datalist, output_dir=folder / "first", **SHORT, **SIZE, **TINY)
    given = {"datalist": datalist, "output_dir": folder / "second", "autoencoder": first / "model.pt"}
    return first, train(BUNDLE, [LATENT], **given, **SHORT, **TOY)


@pytest.mark.slow
def test_the_autoencoder_is_one_and_its_latents_are_measured(trained):
    first, _ = trained
    made = load_weights(VolumeAutoencoder(1, (8, 8), 2), first / "model.pt")
    images = [np.asarray(nib.load(first.parent / f"validation_{k}_t1.nii.gz").dataobj) for k in range(2)]
    latents = made.latents(torch.from_numpy(np.stack(images)).float()[:, None] * 2 - 1)
    assert float(latents.std()) == pytest.approx(1, abs=0.01)  # weights in half precision
    settings = json.loads((first / "training.json").read_text())["settings"]
    assert (settings["family"], settings["kl_weight"], settings["loss_kind"]) == ("autoencoder", 0.001, "l1")
    rows = (first / "history.csv").read_text().splitlines()
    assert len(rows) == 3 and "val_loss" in rows[0] and "val_loss_t0" not in rows[0]


def test_volumes_of_a_mask(trained, tmp_path):
    first, second = trained
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    given = {**TOY, "weights": second / "model.pt", "autoencoder": first / "model.pt", "steps": 3}
    found = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        (folder,) = synthesize(mask, tmp_path / name, overlays=[LATENT], seed=seed, **given)
        found.append(np.asarray(nib.load(folder / "t1.nii.gz").dataobj))
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[0], found[2])
    assert not found[0][np.asarray(nib.load(mask).dataobj) == 0].any() and found[0].std() > 0
    options = json.loads((folder / "provenance.json").read_text())["options"]
    settings = json.loads((second / "training.json").read_text())["settings"]
    assert len(options["autoencoder_sha256"]) == 64 and options["autoencoder_sha256"] == settings["autoencoder_sha256"]


def test_what_goes_with_what(trained, tmp_path):
    first, second = trained
    mask, weights = write_label(tmp_path / "seg.nii.gz", label_array()), second / "model.pt"
    ours = {**TOY, "weights": weights, "autoencoder": first / "model.pt"}
    save_weights(VolumeAutoencoder(1, (8, 8), 2), tmp_path / "another.pt")
    for options, words in (
        ({**ours, "autoencoder": tmp_path / "none.pt"}, "--autoencoder: .*none.pt not found; train one with"),
        (
            {**ours, "autoencoder": tmp_path / "another.pt"},
            "--autoencoder: is another than .* was trained with .SHA-256",
        ),
        ({**ours, "modalities": ["t2"]}, "--modalities: got .*t2.*, but .*first/model.pt was trained with .*t1"),
        ({**ours, "latent_channels": 4}, "--latent_channels: got 4, but .*first/model.pt was trained with 2"),
        ({**ours, "side": 18}, "--side: got 18, wanted a multiple of 4, which 2 levels on cells of 2 need"),
        ({**ours, "autoencoder_channels": [8, 9]}, "--autoencoder_channels: got 9, wanted a multiple of 4"),
    ):
        with pytest.raises(InputError, match=words):
            synthesize(mask, tmp_path / "out", overlays=[LATENT], **options)
    with pytest.raises(InputError, match="--autoencoder: is missing, but .*model.pt was trained to denoise latents"):
        synthesize(mask, tmp_path / "out", **{name: one for name, one in ours.items() if name != "autoencoder"})
    assert not (tmp_path / "out").exists()


def test_what_trainings_refuse(trained, tmp_path):
    first, _ = trained
    given = {"datalist": str(first.parent / "datalist.json"), "output_dir": tmp_path / "out"}
    with pytest.raises(InputError, match="--autoencoder: is what this training makes; leave it out"):
        train(BUNDLE, [AUTOENCODER], autoencoder=first / "model.pt", **given, **SIZE, **TINY)
    with pytest.raises(
        InputError, match="--depth: got 18, wanted a multiple of 4.*or give fewer --autoencoder_channels"
    ):
        train(BUNDLE, [AUTOENCODER], **given, **{**SIZE, "depth": 18, "autoencoder_channels": [8, 8, 8]})
    with pytest.raises(InputError, match="--autoencoder: .*model.pt not found"):
        train(BUNDLE, [LATENT], autoencoder=tmp_path / "model.pt", **given, **TOY)
    assert not (tmp_path / "out").exists()


def test_an_autoencoder_that_will_not_do(tmp_path):
    made = VolumeAutoencoder(1, (8, 8), 2)
    save_weights(made, tmp_path / "model.pt")
    with pytest.raises(
        InputError, match="--autoencoder: .*model.pt lacks the scale of its latents; train it to the end"
    ):
        frozen_autoencoder(made, tmp_path / "model.pt", "cpu")
    with pytest.raises(InputError, match="--autoencoder: .*model.pt: does not fit the network"):
        frozen_autoencoder(VolumeAutoencoder(2, (8, 8), 2), tmp_path / "model.pt", "cpu")
    assert frozen_autoencoder(None, None, "cpu") is None

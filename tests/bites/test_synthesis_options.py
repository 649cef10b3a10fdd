# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the synthesis bundle's network and noise arrive in its training and in its synthesis alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bites.wiring import Bench, Built, Wire, listen, name_of
from conftest import REPOSITORY
from synthesis.heads import write_heads

from mededit_monai.methods.record import network_named
from mededit_monai.training.options import own_training_options

CONFIGS = REPOSITORY / "bundles" / "semantic_synthesis" / "configs"
TOY = {"channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "side": 32, "depth": 32, "progress": False}


LATENT = {"autoencoder": "a.pt"}


def last_beta(item: str):
    """Of the schedule that a component has."""
    return lambda built: round(float(built(item).scheduler.betas[-1]), 6)


#: Option → its lines in both configs, in the training and in the synthesis.
BOTH = [
    Wire("noise_schedule", "linear", lambda b: round(float(b("scheduler").betas[-1]), 6), 0.08),
    Wire("noise_schedule", "exponential", lambda b: round(float(b("scheduler").betas[-1]), 6), 0.24),
    Wire("conditioning", "spade", lambda b: type(b("network_def")).__name__, "SpadeUNet"),
    Wire("conditioning", "cross_attention", lambda b: type(b("network_def")).__name__, "CrossAttentionUNet"),
    Wire("linear_guess", False, lambda b: b("network_def").factors is not None),
    Wire("autoencoder", "a.pt", lambda b: b("frozen") and b("frozen").weights),
    Wire("autoencoder", "a.pt", lambda b: b("network_def").out_channels, 4),
    Wire("latent_channels", 3, lambda b: b("network_def").out_channels, beside=LATENT),
    Wire("latent_channels", 3, lambda b: b("frozen").network.latent_channels, beside=LATENT),
    Wire("autoencoder_channels", [8, 8], lambda b: b("frozen").network.factor, 2, beside=LATENT),
    Wire("modalities", ["t1", "t2"], lambda b: b("network_def").out_channels, 2),
]
TRAINING = [
    *BOTH,
    Wire("noise_schedule", "linear", last_beta("train#prepare_batch"), 0.08),
    Wire("noise_schedule", "linear", last_beta("validate#prepare_batch"), 0.08),
    Wire("noise_schedule", "linear", last_beta("train#inferer"), 0.08),
    Wire("noise_schedule", "linear", lambda b: written(b, "noise_schedule")),
    Wire("autoencoder", "a.pt", lambda b: b("train#prepare_batch").autoencoder is b("frozen") is not None, True),
    Wire("autoencoder", "a.pt", lambda b: b("validate#prepare_batch").autoencoder is b("frozen") is not None, True),
    Wire("autoencoder", "a.pt", lambda b: b("settings").inputs.get("autoencoder"), Path("a.pt")),
    Wire("autoencoder", "a.pt", lambda b: written(b, "autoencoder_sha256"), "bytes of a.pt"),
    Wire("latent_channels", 3, lambda b: written(b, "latent_channels")),
    Wire("autoencoder_channels", [8, 8], lambda b: written(b, "autoencoder_channels")),
    Wire("conditioning", "spade", lambda b: written(b, "conditioning")),
    Wire("linear_guess", False, lambda b: written(b, "linear_guess")),
    Wire("modalities", ["t2"], lambda b: written(b, "modalities")),
]
SYNTHESIS = [
    *BOTH,
    Wire("noise_schedule", "linear", last_beta("inferer"), 0.08),
    Wire("autoencoder", "a.pt", lambda b: b("inferer").autoencoder is b("frozen") is not None, True),
]
#: Of the autoencoder's own training.
AUTOENCODER = [
    Wire("kl_weight", 0.5, lambda b: b("loss").kl_weight),
    Wire("kl_weight", 0.5, lambda b: written(b, "kl_weight")),
    Wire("loss_kind", "mse", lambda b: b("loss").difference.kind),
    Wire("autoencoder_channels", [8, 8], lambda b: b("network_def").factor, 2),
    Wire("autoencoder_channels", [8, 8], lambda b: b("train#prepare_batch").factor, 2),
    Wire("latent_channels", 3, lambda b: b("network_def").latent_channels),
    Wire("latent_channels", 3, lambda b: b("validate#prepare_batch").latent_channels),
    Wire("modalities", ["t1", "t2"], lambda b: b("network_def").encoder.in_channels, 2),
]


def written(built: Built, name: str):
    """What a checkpoint knows."""
    return built.of("train#handlers", "TrainingCheckpoint").settings[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("heads")
    write_heads(place, 16, (2, 2))
    return place


@pytest.fixture(scope="module", autouse=True)
def no_weights() -> Iterator[None]:
    """An autoencoder says what it was asked for; nothing is read."""

    def frozen(asked):
        given = asked["weights"] is not None
        return SimpleNamespace(factor=asked["network"].factor, **asked) if given else None

    def digest(asked):
        return asked["weights"] and f"bytes of {asked['weights']}"

    with pytest.MonkeyPatch.context() as patch:
        listen(patch, "mededit_monai.synthesis.latent:frozen_autoencoder", frozen)
        listen(patch, "mededit_monai.synthesis.latent:autoencoder_digest", digest)
        patch.setattr("mededit_monai.synthesis.run.require_autoencoder", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def autoencoder(folder) -> Bench:
    own = {"dataset_dir": str(folder), "output_dir": str(folder / "out"), "cache": "none", "device": "cpu", "amp": None}
    sizes = {"side": 16, "depth": 16, "progress": False}
    return Bench(["train.yaml", "autoencoder.yaml"], {**sizes, **own}, CONFIGS)


@pytest.fixture(scope="module")
def training(folder) -> Iterator[Bench]:
    own = {"dataset_dir": str(folder), "output_dir": str(folder / "out"), "cache": "none", "device": "cpu", "amp": None}
    return Bench(["train.yaml"], {**TOY, **own}, CONFIGS)


@pytest.fixture(scope="module")
def synthesis() -> Bench:
    return Bench(["inference.yaml"], {**TOY, "device": "cpu"}, CONFIGS)


@pytest.mark.parametrize("wire", TRAINING, ids=name_of)
def test_it_arrives_in_the_training(wire, training):
    wire.check(training)


@pytest.mark.parametrize("wire", SYNTHESIS, ids=name_of)
def test_it_arrives_in_the_synthesis(wire, synthesis):
    wire.check(synthesis)


@pytest.mark.parametrize("wire", AUTOENCODER, ids=name_of)
def test_it_arrives_in_the_autoencoder_s_training(wire, autoencoder):
    wire.check(autoencoder)


def test_the_autoencoder_s_latents_are_measured(autoencoder):
    built = autoencoder.built()
    scale = built.of("train#handlers", "LatentScale")
    assert scale.network is built("ema_network") and scale.data is built("validate#dataloader")
    assert built.of("train#handlers", "TrainingCheckpoint").exported is scale.network


def test_the_layout_arrives(synthesis):
    assert synthesis.built(output_dir="out")("writer").output_dir == Path("out")
    assert synthesis.built(output_dir="out", layout="bids")("writer").output_dir == Path("out/sourcedata/mededit")


@pytest.mark.parametrize("beside, wanted", [({}, False), ({"datalist": "a.json"}, True), ({"dataset_dir": "a"}, True)])
def test_a_list_keeps_going_if_asked_to(synthesis, beside, wanted):
    assert synthesis.built(**beside)("writer").many is wanted
    for keep_going in (True, False):
        assert synthesis.built(**beside, keep_going=keep_going)("writer").keep_going is (wanted and keep_going)


def test_every_option_of_the_network_s_own_is_in_the_tables():
    own = set(own_training_options(network_named("med_ddpm")))
    assert {wire.option for wire in TRAINING} == own and {wire.option for wire in SYNTHESIS} == own

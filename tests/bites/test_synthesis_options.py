# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the synthesis bundle's network and noise arrive in its training and in its synthesis alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bites.wiring import Bench, Built, Wire, name_of
from conftest import REPOSITORY
from synthesis.heads import write_heads

from mededit_monai.methods.record import network_named
from mededit_monai.training.options import own_training_options

CONFIGS = REPOSITORY / "bundles" / "semantic_synthesis" / "configs"
TOY = {"channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "side": 16, "depth": 16, "progress": False}


def last_beta(item: str):
    """Of the schedule that a component has."""
    return lambda built: round(float(built(item).scheduler.betas[-1]), 6)


#: Option → its lines in both configs, in the training and in the synthesis.
BOTH = [
    Wire("noise_schedule", "linear", lambda b: round(float(b("scheduler").betas[-1]), 6), 0.08),
    Wire("noise_schedule", "exponential", lambda b: round(float(b("scheduler").betas[-1]), 6), 0.24),
    Wire("conditioning", "spade", lambda b: type(b("network_def")).__name__, "SpadeUNet"),
    Wire("conditioning", "cross_attention", lambda b: type(b("network_def")).__name__, "CrossAttentionUNet"),
    Wire("modalities", ["t1", "t2"], lambda b: b("network_def").out_channels, 2),
]
TRAINING = [
    *BOTH,
    Wire("noise_schedule", "linear", last_beta("train#prepare_batch"), 0.08),
    Wire("noise_schedule", "linear", last_beta("validate#prepare_batch"), 0.08),
    Wire("noise_schedule", "linear", last_beta("train#inferer"), 0.08),
    Wire("noise_schedule", "linear", lambda b: written(b, "noise_schedule")),
    Wire("conditioning", "spade", lambda b: written(b, "conditioning")),
    Wire("modalities", ["t2"], lambda b: written(b, "modalities")),
]
SYNTHESIS = [*BOTH, Wire("noise_schedule", "linear", last_beta("inferer"), 0.08)]


def written(built: Built, name: str):
    """What a checkpoint knows."""
    return built.of("train#handlers", "TrainingCheckpoint").settings[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("heads")
    write_heads(place, 16, (2, 2))
    return place


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


def test_every_option_of_the_network_s_own_is_in_the_tables():
    own = set(own_training_options(network_named("med_ddpm")))
    assert {wire.option for wire in TRAINING} == own and {wire.option for wire in SYNTHESIS} == own

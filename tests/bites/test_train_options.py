# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of train.yaml arrives at the component that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from bites.wiring import TUMOR, Bench, Built, Wire, listen, name_of, settable
from training.small_cases import TOY, small_cases

from mededit_monai.core.options import options_of
from mededit_monai.io.datalist import read_datalist
from mededit_monai.training import network as training_network
from mededit_monai.training.options import TrainingOptions

FILES = ["train.yaml"]

#: What train.yaml makes of its options.
SECTIONS = ["imports", "settings", "source", "image_keys", "augmented_keys", "scheduler", "network_def", "model"]
SECTIONS += ["network", "loss", "optimizer", "lr_scheduler", "ema_network", "train", "validate"]
SECTIONS += ["initialize", "training", "run", "output_folder"]


def at(item: str, attribute: str):
    """An attribute of a component."""
    return lambda built: getattr(built(item), attribute)


def source(argument: str):
    """What the cases are asked for with."""
    return lambda built: built("source")["asked"][argument]


def transform(kind: str, attribute: str):
    """An attribute of one of the augmentations."""
    return lambda built: getattr(built.of("train#augmentation", kind), attribute)


def handler(stage: str, kind: str, attribute: str):
    """An attribute of a handler."""
    return lambda built: getattr(built.of(f"{stage}#handlers", kind), attribute)


def rate(iteration: int):
    """The learning rate at an iteration, as a share of the largest."""
    return lambda built: round(built("lr_scheduler").lr_lambdas[0](iteration), 6)


def started(argument: str):
    """What the network was prepared with."""
    return lambda built: built("model").asked[argument]


def computed_in(stage: str):
    """The type that a network's layers compute in, where a stage asks it."""

    def found(built: Built) -> torch.dtype:
        seen = {}

        class Layer(torch.nn.Linear):
            def forward(self, x, timesteps=None, context=None):
                seen["type"] = super().forward(x).dtype
                return x[:, :1]

        plane = torch.zeros(1, 1, 4, 4)
        with mock.patch("mededit_monai.core.devices.takes_bf16", lambda: True):  # whatever this CPU does
            asked = built(f"{stage}#inferer")(
                plane, Layer(4, 4), noise=plane, timesteps=torch.zeros(1).long(), condition=plane, mode="concat"
            )
        assert asked.dtype == torch.float32  # the loss is in single precision
        return seen["type"]

    return found


def channels_last(built: Built) -> bool:
    """Whether the network's weights lie channels last in memory."""
    return any(not weight.is_contiguous() for weight in built("model").parameters())


WIRES = [
    Wire("bundle_root", TUMOR, source("disease"), "tumor"),
    Wire("disease", "tumor", source("disease")),
    Wire("device", "cpu:0", lambda b: b("train#trainer").state.device, torch.device("cpu:0")),
    Wire("device", "cpu:0", lambda b: b("validate#evaluator").state.device, torch.device("cpu:0")),
    Wire("device", "cpu:0", started("device")),
    Wire("output_dir", "elsewhere", lambda b: b.of("train#handlers", "TrainingCheckpoint").folder, Path("elsewhere")),
    Wire("output_dir", "elsewhere", lambda b: b.of("train#handlers", "TrainingLog").folder, Path("elsewhere")),
    Wire("output_dir", "elsewhere", lambda b: b.of("validate#handlers", "QuickEdit").path.parent, Path("elsewhere")),
    Wire("output_dir", "elsewhere", lambda b: Path(b("cache_dir")).parent, Path("elsewhere")),
    Wire("seed", 7, source("seed")),
    Wire("seed", 7, at("train#dataset", "seed")),
    Wire("seed", 7, at("train#batch_sampler", "seed")),
    Wire("seed", 7, at("validate#dataset", "seed")),
    Wire("resume", False, handler("train", "TrainingCheckpoint", "resume")),
    Wire("progress", True, source("progress")),
    Wire("datalist", "my.json", source("datalist")),
    Wire("datalist", "my.json", lambda b: b("settings").inputs.get("datalist"), Path("my.json")),
    Wire("dataset_dir", "mine", source("dataset_dir")),
    Wire("dataset_dir", "mine", lambda b: b("settings").inputs.get("dataset_dir"), Path("mine")),
    Wire("cohort_size", 9, source("cohort_size")),
    Wire("validation_size", 9, source("validation_size")),
    Wire("epoch_cases", 1, lambda b: len(b("train#batch_sampler")), 1, {"batch_size": 1}),
    Wire("val_cases", 1, lambda b: len(b("validate#dataset")), 1),
    Wire("cache", "memory", lambda b: type(b("train#dataset").cases).__name__, "CacheDataset"),
    Wire("cache", "memory", lambda b: type(b("validate#dataset").cases).__name__, "CacheDataset"),
    Wire("cache_dir", "kept", lambda b: b("train#dataset").cases.cache_dir, Path("kept"), {"cache": "disk"}),
    Wire("cache_dir", "kept", lambda b: b("validate#dataset").cases.cache_dir, Path("kept"), {"cache": "disk"}),
    Wire("num_workers", 2, at("train#dataloader", "num_workers")),
    Wire("flip", 0.25, transform("RandFlipd", "prob")),
    Wire("warp", 0.25, transform("RandAffined", "prob")),
    Wire("contrast", 0.25, transform("RandAdjustContrastd", "prob")),
    Wire("bias", 0.25, transform("RandBiasFieldd", "prob")),
    Wire("lesion_free_share", 0.25, transform("RandLesionFreed", "prob")),
    Wire("condition", "regions", source("condition")),
    Wire("condition", "regions", lambda b: "regions" in b("image_keys"), True),
    Wire("condition", "regions", at("network_def", "in_channels"), 5),
    Wire("condition", "box", at("train#prepare_batch", "condition")),
    Wire("condition", "box", at("validate#prepare_batch", "condition")),
    Wire("condition", "box", handler("validate", "QuickEdit", "condition")),
    Wire("condition", "box", started("condition")),
    Wire("family", "paint", lambda b: type(b("train#prepare_batch")).__name__, "PaintPrepareBatch"),
    Wire("family", "paint", lambda b: type(b("validate#prepare_batch")).__name__, "PaintPrepareBatch"),
    Wire("family", "effects", lambda b: type(b("loss")).__name__, "EffectsLoss"),
    Wire("family", "palette_original", lambda b: type(b("train#inferer")).__name__, "HoleInferer"),
    Wire("family", "paint", at("network_def", "in_channels"), 8),
    Wire("family", "effects", at("network_def", "out_channels"), 5),
    Wire("family", "effects", lambda b: str(b("scheduler").prediction_type), "sample"),
    Wire("family", "paint", started("family")),
    Wire("family", "paint", lambda b: type(b.of("validate#handlers", "QuickEdit").editor).__name__, "PaintEditor"),
    Wire("prediction_type", "epsilon", lambda b: str(b("train#prepare_batch").scheduler.prediction_type)),
    Wire("prediction_type", "epsilon", lambda b: str(b("validate#prepare_batch").scheduler.prediction_type)),
    Wire("spatial_dims", 3, lambda b: b("network_def").unet.conv_in.conv.weight.ndim, 5),
    Wire(
        "spatial_dims",
        3,
        lambda b: [type(one).__name__ for one in b("train#preprocessing").transforms].count("SqueezeDimd"),
        0,
    ),
    Wire("channels", [16, 16], lambda b: b("network_def").unet.out[0].num_channels, 16),
    Wire(
        "attention_levels",
        [True, False],
        lambda b: hasattr(b("network_def").unet.down_blocks[0], "attentions"),
        True,
    ),
    Wire(
        "num_head_channels",
        4,
        lambda b: b("network_def").unet.middle_block.attention.attn.num_heads,
        4,  # of the 16 channels of the middle
    ),
    Wire("norm_num_groups", 2, lambda b: b("network_def").unet.out[0].num_groups),
    Wire("patch", 1, at("network_def", "patch")),
    Wire("max_epochs", 3, lambda b: b("train#trainer").state.max_epochs),
    Wire("max_epochs", 3, rate(2), 0.25, {"warmup_iterations": 0}),  # two of three: half a cosine
    Wire("batch_size", 1, at("train#batch_sampler", "batch_size")),
    Wire("accumulation_steps", 2, at("train#trainer", "accumulation_steps")),
    Wire("learning_rate", 0.125, lambda b: b("optimizer").param_groups[0]["lr"]),
    Wire("lr_schedule", "constant", rate(1), 1.0, {"warmup_iterations": 0}),
    Wire("warmup_iterations", 4, rate(0), 0.25),
    Wire("loss_kind", "l1", at("loss", "kind")),
    Wire("min_snr_gamma", 5.0, at("train#prepare_batch", "min_snr_gamma")),
    Wire("lesion_weight", 2.0, at("train#prepare_batch", "lesion_weight")),
    Wire("ema_decay", 0.0, lambda b: b("ema_network") is b("model"), True),
    Wire("ema_decay", 0.0, lambda b: b("validate#evaluator").network is b("model"), True),
    Wire("clip_norm", 0.5, handler("train", "GradientClipper", "max_norm")),
    Wire("amp", "bf16", at("train#trainer", "amp_kwargs"), {"dtype": torch.bfloat16}),
    Wire("amp", "bf16", computed_in("train"), torch.bfloat16),  # on a CPU; MONAI's engines do it on a GPU
    Wire("amp", "bf16", computed_in("validate"), torch.bfloat16),
    Wire("channels_last", True, channels_last, True),
    Wire("compile", True, at("train#trainer", "compile")),
    Wire("checkpointing", True, lambda b: b("model").asked["checkpointing"]),
    Wire("init_weights", "start.pt", started("init_weights")),
    Wire("init_weights", "start.pt", lambda b: b("settings").inputs.get("init_weights"), Path("start.pt")),
    Wire("val_interval", 5, handler("train", "ValidationHandler", "interval")),
    Wire("preview_interval", 5, handler("validate", "QuickEdit", "interval")),
    Wire("keep_interval", 5, handler("train", "TrainingCheckpoint", "keep_interval")),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    """Small trainings; what would read files, simulate or compile says what it was asked instead."""
    folder = tmp_path_factory.mktemp("wires")
    datalist = small_cases(folder)
    cases = {name: read_datalist(datalist, name) for name in ("training", "validation")}
    prepared = training_network.prepared_network

    def network(asked):
        made = prepared(**{**asked, "init_weights": None})
        made.asked = asked
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(torch, "compile", lambda network, **_: network)
        listen(patch, "mededit_monai.datasets.training:training_source", lambda asked: {**cases, "asked": asked})
        listen(patch, "mededit_monai.training.network:prepared_network", network)
        yield Bench(FILES, {**TOY, "max_epochs": 2, "cache": "none", "device": "cpu"})


@pytest.mark.one_in(3)
@pytest.mark.parametrize("wire", WIRES, ids=name_of)
def test_an_option_arrives(wire, bench):
    wire.check(bench)


def test_every_option_is_in_the_table():
    """An option that is added to train.yaml wants a line above that says where it acts."""
    assert {wire.option for wire in WIRES} == settable(FILES, SECTIONS)


RECORDED = sorted(name for name, one in options_of(TrainingOptions).items() if one.recorded)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("option", RECORDED)
def test_what_decides_the_weights_is_written_down(option, bench):
    """A resumed training compares these; one that did not follow its option would go on with another setting."""
    value = next(wire.value for wire in WIRES if wire.option == option)
    built = bench.built(**{option: value})
    assert plain(built("settings").recorded()[option]) == value
    assert plain(built.of("train#handlers", "TrainingCheckpoint").settings[option]) == value


def plain(value):
    """As it would stand in a file."""
    return list(value) if isinstance(value, tuple) else value


#: Options that decide no weight, beside how they are computed, kept and shown.
FREE = {"output_dir", "resume", "progress", "device", "num_workers", "channels_last", "compile", "cache", "cache_dir"}
FREE |= {"checkpointing"}
FREE |= {"validation_size", "val_cases", "val_interval", "preview_interval", "keep_interval", "max_epochs"}


def test_every_option_is_declared():
    """In the config and in the table of options alike, and recorded unless it decides nothing."""
    declared = set(options_of(TrainingOptions))
    assert settable(FILES, SECTIONS) - {"bundle_root", "disease"} == declared
    assert declared - FREE == set(RECORDED)

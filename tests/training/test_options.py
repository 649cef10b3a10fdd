# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a training: declared once, and mad ones are refused in one sentence before anything is written."""

from __future__ import annotations

import math

import pytest
import yaml
from conftest import REPOSITORY
from monai.bundle import ConfigParser
from training.small_cases import TOY, small_cases

from mededit_monai.core.errors import InputError
from mededit_monai.core.options import options_of, yaml_block
from mededit_monai.methods.record import networks
from mededit_monai.training.options import TrainingOptions, own_training_options
from mededit_monai.workflows import train

MAD = [
    *(("learning_rate", value) for value in (-1, 0, math.nan, math.inf, 11, True, "fast", 10**400)),
    *(("ema_decay", value) for value in (-0.1, 1, math.nan, 2)),
    *(("clip_norm", value) for value in (-1, math.inf, math.nan, "a")),
    *(("min_snr_gamma", value) for value in (0, -5, math.nan)),
    *(("lesion_weight", value) for value in (-1, math.inf)),
    *(("flip", value) for value in (-0.1, 1.1, math.nan, True)),
    *(("warmup_iterations", value) for value in (-1, 1.5, 10**12)),
    *(("num_workers", value) for value in (-1, 257, 0.5)),
    *(("batch_size", value) for value in (0, -2, 65537, True, 2.0)),
    *(("max_epochs", value) for value in (0, -1, 10**7 + 1, math.inf)),
    *(("seed", value) for value in (-1, 2**63, 0.5, "x")),
    *(("preview_interval", value) for value in (-1, 0.5)),
    *(("channels", value) for value in ([], 8, "wide", [8, -8], [8, 0], [8, 12.5], [8, 9], [8] * 11, [8, 2**20])),
    *(("attention_levels", value) for value in ([True], [0.5, True], "yes", [True, False, True])),
    *(("num_head_channels", value) for value in (0, -8, 7, 0.5)),
    *(("norm_num_groups", value) for value in (0, -1, 3)),
    *(("patch", value) for value in (0, -1, 1.5, 10**9)),
    *(("device", value) for value in ("cuda:9", "gpu", "")),
    *(("resume", value) for value in ("yes", 2)),
    *(("datalist", value) for value in (123, True, 1.5)),
    *(("family", value) for value in ("other", 3, [1])),
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "value"), MAD, ids=str)
def test_mad_options_are_refused_in_one_sentence(tmp_path, name, value):
    datalist = str(small_cases(tmp_path / "data"))
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **({"datalist": datalist} | TOY | {name: value}))
    sentence = str(caught.value)
    assert "\n" not in sentence and f"--{name}" in sentence.replace("--channels", f"--{name}", 1), sentence
    assert not (tmp_path / "out").exists()


# --- declared once ---------------------------------------------------------------------------------------------------


CONFIGS = REPOSITORY / "bundles" / "stroke" / "configs"


def test_the_block_of_train_yaml_is_what_is_declared():
    text = (CONFIGS / "train.yaml").read_text()
    assert f"\n\n{yaml_block(options_of(TrainingOptions))}# End of the options.\n" in text


@pytest.mark.parametrize(
    ("overlay", "family"),
    [
        ("configs/effects.yaml", "effects"),
        ("configs/paint.yaml", "paint"),
        ("train_palette.yaml", "palette"),
    ],
)
def test_files_laid_over_say_what_is_declared(overlay, family):
    path = REPOSITORY / overlay if "/" in overlay else CONFIGS / overlay
    written = ConfigParser({**yaml.safe_load(path.read_text()), "spatial_dims": 2})
    own = TrainingOptions.of({"family": family}).own
    assert {name: written.get_parsed_content(name) for name in own} == own and written["family"] == family


def test_what_a_network_has_of_its_own():
    found = {name: set(own_training_options(network)) for name, network in networks().items()}
    palette = {"palette": {"hole"}, "palette_original": {"hole"}}
    effects = {"blur", "noise", "near_weight", "strength_weight", "slope_weight", "ventricle_weight"}
    morph = {"effects": effects, "paint": {"blur", "noise", "top_share", "repeats"}}
    volumes = {"modalities", "noise_schedule", "conditioning", "linear_guess"}
    volumes |= {"autoencoder", "autoencoder_channels", "latent_channels"}
    synthesis = {"med_ddpm": volumes, "autoencoder": {*volumes, "kl_weight"}}
    assert found == {"mededit": set(), **palette, **morph, **synthesis}
    options = TrainingOptions.of({"family": "effects", "near_weight": 0.5})
    assert options.of_part("batch") == {"near_weight": 0.5}
    assert options.of_part("loss") == {"strength_weight": 0.01, "slope_weight": 30.0, "ventricle_weight": 5.0}
    assert options.prediction_type == "sample"
    assert {"near_weight": 0.5, "strength_weight": 0.01, "family": "effects"}.items() <= options.recorded().items()
    assert options.recorded()["recipe"] == 2 and "recipe" not in TrainingOptions.of({}).recorded()


def test_of_an_autoencoder_its_bytes_count_and_not_its_name():
    options = TrainingOptions.of({"family": "med_ddpm", "autoencoder": "a.pt", "latent_channels": 3})
    assert "autoencoder" not in options.recorded() and options.recorded()["latent_channels"] == 3
    assert str(options.inputs["autoencoder"]) == "a.pt"  # nothing is written over it


def test_what_is_recorded_of_the_data():
    """The size of the simulated cohort decides nothing where there are data."""
    assert TrainingOptions.of({}).recorded()["cohort_size"] == 1600
    assert TrainingOptions.of({"datalist": "a.json"}).recorded()["cohort_size"] is None
    assert {"output_dir", "max_epochs", "device"}.isdisjoint(TrainingOptions.of({}).recorded())


HOLE = "--hole: applies to palette and palette_original, but --family is"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hole": "box"}, f"{HOLE} mededit; leave it out."),
        ({"hole": "box", "family": "paint"}, f"{HOLE} paint; leave it out."),
        (
            {"top_share": 0.1, "family": "palette"},
            "--top_share: applies to paint, but --family is palette; leave it out.",
        ),
        ({"hole": "circle", "family": "palette"}, "--hole: got 'circle', wanted one of mask, box, both."),
        ({"near_weight": -1, "family": "effects"}, "--near_weight: got -1, wanted a number between 0 and 1e+06."),
        (
            {"condition": "regions", "family": "palette"},
            "--condition: got 'regions', but palette is not told of regions",
        ),
    ],
    ids=str,
)
def test_options_of_other_networks_are_refused(tmp_path, options, sentence):
    """Without any file laid over: nothing is passed over in silence."""
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **TOY, **options)
    assert str(caught.value).startswith(sentence)
    assert not (tmp_path / "out").exists()

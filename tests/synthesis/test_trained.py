# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Weights are used as they were trained, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from synthesis.heads import label_array, write_heads, write_label

from mededit_monai.core.errors import InputError
from mededit_monai.networks import save_weights
from mededit_monai.synthesis.trained import require_as_trained
from mededit_monai.workflows import bundle_content, synthesize, train

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
SETTINGS = {"noise_schedule": "linear", "modalities": ["t2"], "prediction_type": "sample", "learning_rate": 1.0}


def write_settings(folder: Path, **settings) -> Path:
    (folder / "training.json").write_text(json.dumps({"settings": {**SETTINGS, **settings}}))
    return folder / "model.pt"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"noise_schedule": "cosine"}, "--noise_schedule: got 'cosine', but .* was trained with 'linear'.*give"),
        (
            {"modalities": ("t1",)},
            r"--modalities: got \['t1'\], but .* with \['t2'\].*give --modalities \[\"t2\"\], or",
        ),
    ],
)
def test_what_differs_is_refused(tmp_path, given, sentence):
    with pytest.raises(InputError, match=sentence):
        require_as_trained(write_settings(tmp_path), given)


def test_what_agrees_or_is_not_known_will_do(tmp_path):
    require_as_trained(tmp_path / "model.pt", {"noise_schedule": "cosine"})  # nothing beside it
    weights = write_settings(tmp_path)
    require_as_trained(weights, {"noise_schedule": "linear", "modalities": ("t2",), "conditioning": "concat"})
    (tmp_path / "training.json").write_text("[]")
    with pytest.raises(InputError, match="training.json: cannot be read as the settings of a training; move"):
        require_as_trained(weights, {})


def test_weights_that_lie_beside_others_have_settings_of_their_own(tmp_path):
    weights = write_settings(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"settings": {**SETTINGS, "noise_schedule": "cosine"}}))
    require_as_trained(weights, {"noise_schedule": "cosine"})
    with pytest.raises(InputError, match="--noise_schedule: got 'linear', .*model.json"):
        require_as_trained(weights, {"noise_schedule": "linear"})
    require_as_trained(tmp_path / "other.pt", {"noise_schedule": "linear"})


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"modalities": ["t1"]}, {}, "--noise_schedule: got 'cosine'"),
        ({}, {"noise_schedule": "linear"}, "--modalities: got"),
        (
            {"modalities": ["t1"], "prediction_type": "epsilon"},
            {"noise_schedule": "linear"},
            "--prediction_type: got",
        ),
        ({"modalities": ["t1"], "conditioning": "spade"}, {"noise_schedule": "linear"}, "--conditioning: got 'concat'"),
        ({"modalities": ["t1"], "norm_num_groups": 8}, {"noise_schedule": "linear"}, "--norm_num_groups: got 16"),
        (
            {"modalities": ["t1"], "side": 96},
            {"noise_schedule": "linear"},
            "--side: got 64, but .* was trained with 96",
        ),
        (
            {"modalities": ["t1"], "depth": 32},
            {"noise_schedule": "linear"},
            "--depth: got 64, but .* was trained with 32",
        ),
        (
            {"modalities": ["t1"], "num_train_timesteps": 1000},
            {"noise_schedule": "linear"},
            "--scheduler#num_train_timesteps: got 250, but .* with 1000 .*; give --scheduler#num_train_timesteps 1000",
        ),
        ({}, {"prediction_type": "epsilon"}, "--linear_guess: is true, but --prediction_type is epsilon"),
        ({}, {"noise_schedule": "square"}, "--noise_schedule: got 'square', wanted one of"),
        ({}, {"conditioning": "film"}, "--conditioning: got 'film', wanted one of concat, spade, cross_attention"),
    ],
)
def test_a_synthesis_asks_for_it(tmp_path, settings, options, words):
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    with pytest.raises(InputError, match=words):
        synthesize(mask, tmp_path / "out", weights=write_settings(tmp_path, **settings), device="cpu", **options)
    assert not (tmp_path / "out").exists()


def test_the_schedule_is_written_down(tmp_path):
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    sizes = {"side": 16, "depth": 16, "channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8}
    weights = write_settings(tmp_path, modalities=["t1"])
    save_weights(bundle_content(BUNDLE, ("network_def",), **sizes)[0], weights)
    options = {"weights": weights, "device": "cpu", "progress": False, "steps": 2, **sizes}
    (folder,) = synthesize(mask, tmp_path / "out", noise_schedule="linear", **options)
    assert json.loads((folder / "provenance.json").read_text())["options"]["noise_schedule"] == "linear"


#: What a training wrote down of grid and noise levels, and an older one did not.
GRID = ("side", "depth", "num_train_timesteps")
TINY = {"side": 16, "depth": 32, "channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "device": "cpu"}
TINY |= {"epoch_cases": 2, "val_cases": 2, "progress": False, "scheduler#num_train_timesteps": 40}


def test_the_grid_and_the_noise_levels_are_written_down_and_asked_for(tmp_path):
    """They decide what weights draw, and no shape tells them."""
    given = {"datalist": str(write_heads(tmp_path, 16, (2, 2), depth=32)), "output_dir": tmp_path / "out", **TINY}
    out = train(BUNDLE, max_epochs=1, **given)
    written = json.loads((out / "training.json").read_text())["settings"]
    kept = torch.load(out / "checkpoint.pt", weights_only=True)
    for settings in (written, kept["settings"]):
        assert [settings[name] for name in GRID] == [16, 32, 40]
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    sizes = {name: value for name, value in TINY.items() if name not in ("epoch_cases", "val_cases")}
    for name, other in (("side", 32), ("depth", 16), ("scheduler#num_train_timesteps", 250)):
        with pytest.raises(InputError, match=f"--{name}: got {other}, but .*model.pt was trained with {TINY[name]} "):
            synthesize(mask, tmp_path / "no", weights=out / "model.pt", **{**sizes, name: other})
    with pytest.raises(InputError, match="checkpoint.pt: was made with num_train_timesteps = 40, now 250; choose"):
        train(BUNDLE, max_epochs=2, **{**given, "scheduler#num_train_timesteps": 250})


def test_an_older_training_goes_on_and_its_weights_are_taken_as_they_are(tmp_path):
    """It wrote down neither grid nor noise levels."""
    given = {"datalist": str(write_heads(tmp_path, 16, (2, 2), depth=32)), "output_dir": tmp_path / "out", **TINY}
    out = train(BUNDLE, max_epochs=1, **given)
    kept = torch.load(out / "checkpoint.pt", weights_only=True)
    kept["settings"] = {name: value for name, value in kept["settings"].items() if name not in GRID}
    torch.save(kept, out / "checkpoint.pt")
    train(BUNDLE, max_epochs=2, **given)
    assert len((out / "history.csv").read_text().splitlines()) == 1 + 2
    written = {name: value for name, value in kept["settings"].items() if name != "autoencoder_sha256"}
    require_as_trained(write_settings(tmp_path, **written), {"side": 64, "depth": 64, "modalities": ["t1"]})


@pytest.mark.parametrize("overlays", [[], [str(REPOSITORY / "configs" / "med_ddpm_brats4.yaml")]], ids=["", "overlay"])
def test_a_training_knows_no_window(tmp_path, overlays):
    """Cases come on its grid, of whatever size in mm; an overlay may say it for the synthesis."""
    words = "unknown option" if not overlays else "got 180, but nothing in this run looks at it"
    with pytest.raises(InputError, match=f"--window_mm: {words}"):
        train(BUNDLE, overlays, output_dir=tmp_path / "out", window_mm=180)
    assert not (tmp_path / "out").exists()

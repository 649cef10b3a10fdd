# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The bundle's own weights, as a user asks for them: a brain with the tumour that its mask says, where it says so."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import REPOSITORY

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import BRAIN_LABEL, MODALITIES
from mededit_monai.networks.weights import read_weights
from mededit_monai.simulation.simulate import Recipe, simulate_cohort
from mededit_monai.workflows import synthesize

MODELS = REPOSITORY / "bundles" / "semantic_synthesis" / "models"
FOUR = "four_modalities.yaml"

#: Modality → part of a tumour → how much it differs from the brain around, at least: half of what simulated heads have.
CORE, EDEMA, RIM = 1, 2, 3
PARTS = {"t1": {CORE: -0.1}, "t1ce": {RIM: 0.08}, "t2": {CORE: 0.16, EDEMA: 0.06}, "flair": {EDEMA: 0.11, RIM: 0.1}}


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> list[Path]:
    """Two simulated heads of seeds that no training had."""
    root = tmp_path_factory.mktemp("heads")
    recipe = Recipe("tumor", counts=(1, 1, 0), seed=5, spatial_dims=3, modalities=MODALITIES, side=64)
    simulate_cohort(recipe, root, progress=False)
    return [root / "training_00000", root / "validation_00000"]


@pytest.fixture(scope="module", params=["t1", "four"])
def made(request, heads, tmp_path_factory) -> list[dict[str, np.ndarray]]:
    """What is synthesized from the masks of both: modality → volume."""
    overlays = [FOUR] if request.param == "four" else []
    names = MODALITIES if overlays else ("t1",)
    found = []
    for head in heads:
        out = tmp_path_factory.mktemp("made")
        (folder,) = synthesize(head / "label.nii.gz", out, overlays=overlays, progress=False)
        found.append({name: array(folder / f"{name}.nii.gz") for name in names})
    return found


def array(place: Path) -> np.ndarray:
    """Of a NIfTI file."""
    return np.asanyarray(nib.load(place).dataobj).astype(np.float32)


def test_its_head_is_the_nearest(made, heads):
    for name in made[0]:
        real = [array(head / f"{name}.nii.gz") for head in heads]
        errors = np.array([[np.mean((one[name] - other) ** 2) for other in real] for one in made])
        assert errors[0, 0] < 0.5 * errors[0, 1] and errors[1, 1] < 0.5 * errors[1, 0]


def test_the_brain_ends_where_the_mask_does(made, heads):
    for one, head in zip(made, heads):
        outside = array(head / "label.nii.gz") == 0
        assert all((volume[outside] == 0).all() and volume[~outside].mean() > 0.2 for volume in one.values())


def test_the_tumour_is_where_the_mask_says(made, heads):
    """Each part is darker or brighter than the brain around as in simulated heads; T1 is not told of the parts."""
    labels = [array(head / "label.nii.gz") for head in heads]
    for name, parts in PARTS.items():
        if name not in made[0]:
            continue
        for part, least in parts.items():
            if len(made[0]) == 1:
                least /= 2
            inside = [one[name][label == part] for one, label in zip(made, labels)]
            around = [one[name][label == BRAIN_LABEL].mean() for one, label in zip(made, labels)]
            shown = [values.mean() - level for values, level in zip(inside, around) if len(values) >= 30]
            assert shown and np.sign(least) * np.mean(shown) > abs(least), (name, part, shown)


@pytest.mark.parametrize("name", ["model", "model_four_modalities"])
def test_its_settings_lie_beside_it_and_name_no_machine(name):
    text = (MODELS / f"{name}.json").read_text(encoding="utf-8")
    settings = json.loads(text)["settings"]
    assert settings["dataset_dir"] == "out/heads_64"
    assert settings["modalities"] == (["t1"] if name == "model" else list(MODALITIES))
    assert sum(tensor.numel() for tensor in read_weights(MODELS / f"{name}.pt").values()) > 6.9e6


@pytest.mark.parametrize(
    "options, words",
    [({"linear_guess": False}, "--linear_guess"), ({"channels": [32, 64]}, "--channels"), ({"patch": 1}, "--patch")],
)
def test_another_network_than_theirs_is_refused(heads, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        synthesize(heads[0] / "label.nii.gz", tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()

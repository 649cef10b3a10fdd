# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Both configurations at toy size, from the bundle's commands: training, then volumes on a mask's own grid."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bids_cases import validator_says
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from promises.verbs import tree
from synthesis.heads import MODALITIES, label_array, write_heads, write_label
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.networks import save_weights
from mededit_monai.workflows import bundle_content, synthesize, train

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
SMALL = {"channels": [8, 8, 8, 8, 16], "norm_num_groups": 4, "num_head_channels": 8}
KINDS = {
    "t1": (("t1",), {"side": 16, "depth": 16}, "mask"),
    "brats4": (MODALITIES, {"side": 32, "depth": 16, "window_mm": 192}, "regions"),
}


def overlay(kind: str) -> str:
    return str(REPOSITORY / "configs" / f"med_ddpm_{kind}.yaml")


@pytest.fixture(scope="module", params=list(KINDS))
def trained(request, tmp_path_factory) -> tuple[str, Path]:
    """A configuration, and the folder of its training: two epochs of two volumes."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    _, grid, _ = KINDS[kind]
    datalist = write_heads(folder, grid["side"], depth=grid["depth"])
    sizes = {"epoch_cases": 2, "max_epochs": 2, "val_cases": 2, "progress": False, "device": "cpu"}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        out = train(
            BUNDLE, [overlay(kind)], datalist=str(datalist), output_dir=folder / "out", **sizes, **SMALL, **grid
        )
    assert [str(one.message) for one in told if "lr_scheduler" in str(one.message)] == []
    return kind, out


def test_a_training_as_published(trained):
    """T = 250, cosine, ε and L1, gathered over two batches; finite weights, one input channel for each thing told."""
    kind, out = trained
    modalities, _, condition = KINDS[kind]
    with open(out / "history.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"] and all(0.5 < float(row["val_loss"]) < 1.2 for row in rows)
    settings = json.loads((out / "training.json").read_text())["settings"]
    assert (settings["family"], settings["loss_kind"], settings["accumulation_steps"]) == ("med_ddpm", "l1", 2)
    assert settings["prediction_type"] == "epsilon" and settings["modalities"] == list(modalities)
    weights = torch.load(out / "model.pt", weights_only=True)
    assert all(torch.isfinite(one.float()).all() for one in weights.values())
    first = weights["unet.conv_in.conv.weight"]
    assert first.shape[1] == len(modalities) + 1 + (3 if condition == "regions" else 1)


def test_volumes_on_the_mask_s_own_grid(trained, tmp_path):
    kind, out = trained
    modalities, grid, _ = KINDS[kind]
    mask = write_label(tmp_path / "seg.nii.gz", label_array(), axcodes="PIR")
    options = {**SMALL, **grid, "weights": out / "model.pt", "progress": False, "device": "cpu", "steps": 3}
    (folder,) = synthesize(mask, tmp_path / "out", overlays=[overlay(kind)], samples=2, seed=5, **options)
    given = nib.load(mask)
    for sample in range(2):
        own = folder / f"sample_{sample}"
        for name in modalities:
            image = nib.load(own / f"{name}.nii.gz")
            assert image.shape == given.shape and np.allclose(image.affine, given.affine)
            assert b"synthetic" in image.header["descrip"].tobytes()
            values = np.asarray(image.dataobj)
            assert values.min() >= 0 and values.max() <= 1 and values.std() > 0
            assert not values[np.asarray(given.dataobj) == 0].any()
        facts = json.loads((own / "provenance.json").read_text())
        assert facts["synthetic"] is True and facts["nfe"] == 3 and facts["sample"] == sample
        assert facts["options"]["modalities"] == list(modalities) and len(facts["options"]["weights_sha256"]) == 64
        assert (own / "preview.png").stat().st_size > 5000
    one, two = (np.asarray(nib.load(folder / f"sample_{k}" / "t1.nii.gz").dataobj) for k in range(2))
    assert not np.allclose(one, two)
    (alone,) = synthesize(mask, tmp_path / "one", overlays=[overlay(kind)], seed=5, **options)
    assert np.array_equal(np.asarray(nib.load(alone / "t1.nii.gz").dataobj), one)
    assert synthesize(mask, tmp_path / "one", overlays=[overlay(kind)], seed=5, **options) == []


def test_volumes_as_a_dataset(trained, tmp_path):
    """``--layout bids``: every modality under its BIDS name, on the mask's grid; a second run changes nothing."""
    kind, out = trained
    modalities, grid, _ = KINDS[kind]
    mask = write_label(tmp_path / "seg.nii.gz", label_array(), axcodes="PIR")
    options = {**SMALL, **grid, "weights": out / "model.pt", "progress": False, "device": "cpu", "steps": 2}
    dataset = tmp_path / "derivatives"
    made = synthesize(mask, dataset, overlays=[overlay(kind)], samples=2, layout="bids", **options)
    assert made == [dataset / "sub-seg"]
    names = {"t1": "desc-synthetic{}_T1w", "t1ce": "ce-gadolinium_desc-synthetic{}_T1w"}
    names |= {"t2": "desc-synthetic{}_T2w", "flair": "desc-synthetic{}_FLAIR"}
    wanted = {f"sub-seg_{names[name].format(k)}.nii.gz" for name in modalities for k in range(2)}
    images = {path.name for path in (dataset / "sub-seg" / "anat").glob("*.nii.gz")}
    assert images == wanted | {"sub-seg_desc-asked_dseg.nii.gz"}
    given, image = nib.load(mask), nib.load(dataset / "sub-seg" / "anat" / sorted(wanted)[0])
    assert image.shape == given.shape and np.allclose(image.affine, given.affine)
    assert b"synthetic" in image.header["descrip"].tobytes()
    before = tree(dataset)
    assert synthesize(mask, dataset, overlays=[overlay(kind)], samples=2, layout="bids", **options) == []
    assert tree(dataset) == before
    assert [one for one in validator_says(dataset) if one["severity"] == "error"] == []


@pytest.mark.slow  # the same configs as those of the tests above, in processes of their own
def test_the_bundle_s_commands(tmp_path):
    """As a user types them, with the bundle's own network."""
    datalist = write_heads(tmp_path, 32, (2, 1))
    run = [sys.executable, "-m", "monai.bundle", "run"]
    sizes = ["--side", "32", "--depth", "32"]
    words = ["--config_file", str(BUNDLE / "configs" / "train.yaml"), "--bundle_root", str(BUNDLE), *sizes]
    words += [
        "--datalist",
        str(datalist),
        "--output_dir",
        "out",
        "--max_epochs",
        "1",
        "--epoch_cases",
        "4",
        "--progress",
        "false",
    ]
    done = subprocess.run([*run, "training", *words], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    weights = str(tmp_path / "out" / "model.pt")
    words = ["--config_file", str(BUNDLE / "configs" / "inference.yaml"), "--bundle_root", str(BUNDLE), *sizes]
    words += ["--mask", str(mask), "--weights", weights, "--output_dir", "made", "--steps", "2", "--progress", "false"]
    done = subprocess.run([*run, "inference", *words], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    names = {path.name for path in (tmp_path / "made" / "seg").iterdir()}
    assert names == {"t1.nii.gz", "preview.png", "provenance.json", ".mededit.json"}


def test_bad_input_is_a_sentence(tmp_path):
    said = CliRunner().invoke(app, ["synthesize", "--mask", str(tmp_path / "none.nii.gz"), "-o", str(tmp_path / "out")])
    assert isinstance(said.exception, InputError) and not (tmp_path / "out").exists()
    datalist = write_heads(tmp_path, 16, (2, 1))
    with pytest.raises(InputError, match="'image': has size .*16, 16, 16.*, wanted .*64, 64, 64"):
        train(BUNDLE, datalist=str(datalist), output_dir=tmp_path / "training", device="cpu", progress=False)
    with pytest.raises(InputError, match="--datalist: is missing; give a list of cases with t1, label"):
        train(BUNDLE, output_dir=tmp_path / "training", device="cpu", progress=False)
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    (tmp_path / "w.pt").write_bytes(b"")
    for options, words in (
        ({"steps": 300}, "--steps: got 300, wanted at most 250"),
        ({"sampler": "euler"}, "--sampler: got 'euler'"),
        ({"brain": tmp_path / "no.nii.gz"}, "no.nii.gz: not found .--brain"),
        ({"stepz": 3}, "stepz"),
    ):
        with pytest.raises(InputError, match=words):
            synthesize(mask, tmp_path / "out", weights=tmp_path / "w.pt", **options)


def test_what_the_zoo_accepts(tmp_path):
    """Metadata, the network by it, no property missing in either config, and the files that a bundle has."""
    configs = BUNDLE / "configs"
    schema = REPOSITORY / "tests" / "data" / "meta_schema_20240725.json"
    verify_metadata(meta_file=str(configs / "metadata.json"), filepath=str(schema))
    for name in ("train.yaml", "inference.yaml"):
        asked = {"config_file": str(configs / name), "meta_file": str(configs / "metadata.json")}
        verify_net_in_out(net_id="network_def", device="cpu", n=1, **asked)
    datalist = write_heads(tmp_path, 32, (2, 1))
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    network = bundle_content(BUNDLE, ("network_def",))[0]
    save_weights(network, tmp_path / "model.pt")
    given = {"mask": str(mask), "weights": str(tmp_path / "model.pt")}
    sizes = {"datalist": str(datalist), "side": 32, "depth": 32, "epoch_cases": 2, "progress": False}
    for name, kind, options in (("train.yaml", "train", sizes), ("inference.yaml", "inference", given)):
        options = {**options, "bundle_root": str(BUNDLE), "output_dir": str(tmp_path / "out")}
        workflow = ConfigWorkflow(str(configs / name), logging_file=False, workflow_type=kind, **options)
        workflow.initialize()
        assert workflow.check_properties() == [], name
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf"):
        assert (BUNDLE / name).is_file(), name

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Palette from training to the edited scan, and what their options refuse, at toy size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY, write_head

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import network_named
from mededit_monai.networks import MaskConditionedUNet, read_weights, save_weights
from mededit_monai.workflows import train

NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}
TOY = {"batch_size": 2, "max_epochs": 1, "preview_interval": 1, "progress": False, **NETWORK}
QUICK = {"slice_index": "auto", "steps": 3, "progress": False} | {f"network_def#{k}": v for k, v in NETWORK.items()}
OVERLAY = REPOSITORY / "bundles" / "tumor" / "configs" / "train_palette.yaml"


def cases(folder: Path, regions: bool = False, size: int = 16) -> str:
    """A datalist of small squares with a lesion each, and nothing that would make them pairs."""
    rng, entries = np.random.default_rng(0), []
    for k in range(4):
        planes = {"image": rng.uniform(0, 1, (size, size, 1)), "brain": np.ones((size, size, 1))}
        planes["pathology"] = np.zeros((size, size, 1))
        planes["pathology"][4:8, 4:7] = 1
        if regions:
            planes["regions"] = planes["pathology"] * 2
            planes["regions"][5:7, 5] = 1
        for key, plane in planes.items():
            nib.save(nib.Nifti1Image(plane.astype(np.float32), np.eye(4)), folder / f"{key}_{k}.nii.gz")
        entries.append({"case_id": f"case{k}", **{key: f"{key}_{k}.nii.gz" for key in planes}})
    (folder / "datalist.json").write_text(json.dumps({"training": entries[:2], "validation": entries[2:]}))
    return str(folder / "datalist.json")


def toy_weights(path: Path, in_channels: int) -> str:
    torch.manual_seed(0)
    network = MaskConditionedUNet(in_channels=in_channels, **NETWORK)
    with torch.no_grad():
        for weight in network.parameters():  # MONAI's last layers start at zero
            weight.copy_(0.1 * torch.randn_like(weight))
    save_weights(network, path)
    return str(path)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "bundle, family, condition",
    [("stroke", "palette", "mask"), ("tumor", "palette_original", "box")],
)
def test_from_the_thesis_weights_to_an_edited_scan(bundle, family, condition, tmp_path):
    """Warm start, training, preview, export; then an edit that may change what the method says and nothing else."""
    start = toy_weights(tmp_path / "model.pt", 3)
    options = {"datalist": cases(tmp_path, bundle == "tumor"), "family": family, "init_weights": start}
    out = tmp_path / "training"
    train(bundle, overlays=[OVERLAY], output_dir=out, condition=condition, **(TOY | options))
    record = json.loads((out / "training.json").read_text())["settings"]
    assert record["family"] == family and record["hole"] == "both"
    (row,) = csv.DictReader((out / "history.csv").read_text().splitlines())
    assert np.isfinite([float(row[k]) for k in ("train_loss", "val_loss")]).all()
    assert np.isfinite(float(row["edit_gradient"]))
    assert (out / "previews" / "epoch_0001.png").is_file()
    kernel = read_weights(out / "model.pt")["unet.conv_in.conv.weight"]
    assert kernel.shape[1] == 4 * network_named(family).in_channels(condition)

    head = write_head(tmp_path / "head", "LIA")
    options = QUICK | {"bundle": bundle, "method": family, "condition": condition, "weights": str(out / "model.pt")}
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", **options)
    found = json.loads((folder / "provenance.json").read_text())
    assert found["nfe"] == 3 and found["options"]["method"] == family
    edited, region = (np.asarray(nib.load(folder / f"{n}.nii.gz").dataobj) for n in ("edited", "edit_region"))
    changed = edited != np.asarray(head.image.dataobj)
    assert changed.any() and not changed[region == 0].any()
    lesion = np.asarray(nib.load(head.pathology).dataobj) > 0
    beyond = (changed & ~lesion).sum() / lesion.sum()
    # The hole alone (a box, and linear upsampling by a pixel); the whole slice.
    assert {"palette": beyond > 3, "palette_original": beyond < 1}[family]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"condition": "regions"}, "--condition: got 'regions', but palette is not told of regions"),
        ({"hole": "circle"}, "--hole: got 'circle', wanted one of mask, box, both"),
        ({"family": "paint"}, "--hole: applies to palette and palette_original, but --family is paint"),
        ({"family": "pallete"}, "--family: got 'pallete', wanted one of .*did you mean 'palette'"),
    ],
)
def test_what_training_refuses(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        train("tumor", overlays=[OVERLAY], output_dir=tmp_path / "out", **(TOY | options))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"method": "palette", "condition": "regions"}, "--condition: got 'regions', but palette is not told of"),
        ({"method": "palette_original", "region": "brain"}, "--region: applies to --method mededit; pal"),
        ({"method": "palette", "start": 0.5}, "--start: got 0.5, which palette cannot do"),
        ({"method": "palette_original", "guidance": 2}, "--guidance: got 2, which palette_original cannot do"),
        ({"method": "morph", "mode": "paper"}, "--mode: got 'paper', which morph cannot do"),
        ({"method": "morph", "resample": 4}, "--resample: got 4, which morph cannot do"),
        ({"method": "morph", "start": 0.5}, "--start: got 0.5, which morph cannot do"),
        ({"method": "palet"}, "--method: got 'palet', wanted one of .*palette"),
        ({"method": "palette"}, "palette.pt: weights not found"),
    ],
)
def test_what_editing_refuses(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        edit("scan.nii.gz", "lesion.nii.gz", tmp_path / "out", bundle=_empty_bundle(tmp_path), **options)


def _empty_bundle(folder: Path) -> Path:
    """The tumour bundle without weights."""
    place = folder / "bundle"
    place.mkdir()
    (place / "configs").symlink_to(REPOSITORY / "bundles" / "tumor" / "configs")
    return place

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The tumour bundle, and both bundles' other conditions, from training to the edited scan at toy size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY, Head, write_head

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.workflows import train

NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}
TOY = {"cohort_size": 4, "validation_size": 2, "batch_size": 2, "max_epochs": 1, "preview_interval": 1}
TOY |= {"progress": False, "warp": 1.0, **NETWORK}
QUICK = {"method": "mededit", "slice_index": "auto", "steps": 3, "resample": 1, "progress": False} | {
    f"network_def#{k}": v for k, v in NETWORK.items()
}


def with_regions(head: Head) -> Head:
    """The lesion as core (1), rim (4) and edema (2) from its middle outward."""
    mask = nib.load(head.pathology)
    inside = np.asarray(mask.dataobj) > 0
    places = np.argwhere(inside)
    away = np.linalg.norm((places - places.mean(0)) * mask.header.get_zooms(), axis=1)
    labels = np.zeros(inside.shape, np.uint8)
    labels[tuple(places.T)] = np.select([away < 6, away < 10], [1, 4], 2)
    nib.save(nib.Nifti1Image(labels, mask.affine), head.pathology)
    return head


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("bundle", "condition"),
    [
        ("tumor", "regions"),
        ("stroke", "box"),
        *(pytest.param("tumor", condition, marks=pytest.mark.slow) for condition in ("mask", "box")),
    ],
)
def test_from_training_to_an_edited_scan(bundle, condition, tmp_path):
    overlay = [] if condition == "mask" else [REPOSITORY / "configs" / f"condition_{condition}.yaml"]
    train(bundle, overlays=overlay, output_dir=tmp_path / "training", **TOY)
    assert (tmp_path / "training" / "previews" / "epoch_0001.png").is_file()
    record = json.loads((tmp_path / "training" / "training.json").read_text())
    assert record["settings"]["condition"] == condition
    head = write_head(tmp_path / "head", "LIA")
    if bundle == "tumor":
        with_regions(head)
    weights = str(tmp_path / "training" / "model.pt")
    options = {**QUICK, "bundle": bundle, "condition": condition, "weights": weights}
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", **options)
    edited, region = (nib.load(folder / name) for name in ("edited.nii.gz", "edit_region.nii.gz"))
    changed = np.asarray(edited.dataobj) != np.asarray(head.image.dataobj)
    assert np.array_equal(edited.affine, head.image.affine)
    assert changed.any() and not changed[np.asarray(region.dataobj) == 0].any()
    found = json.loads((folder / "provenance.json").read_text())
    assert found["options"]["disease"] == bundle and found["options"]["condition"] == condition
    assert found["model_pixel_mm"] == pytest.approx({"stroke": 233, "tumor": 200}[bundle] / 128)


@pytest.mark.slow
def test_the_two_overlays_by_monais_own_command(tmp_path):
    """Inference with an overlay, as users of MONAI type it; weights that are not shipped are named."""
    head = with_regions(write_head(tmp_path / "head"))
    root = REPOSITORY / "bundles" / "tumor"
    files = [str(root / "configs" / "inference.yaml"), str(REPOSITORY / "configs" / "condition_box.yaml")]
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file", str(files)]
    command += ["--bundle_root", str(root), "--scan", str(head.scan), "--pathology", str(head.pathology)]
    done = subprocess.run([*command, "--weights", "none.pt"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and "none.pt: weights not found" in done.stderr


def test_regions_matter(tmp_path):
    """The same tumour with core and edema exchanged is another edit."""
    head = with_regions(write_head(tmp_path / "head"))
    options = {**QUICK, "bundle": "tumor", "condition": "regions", "weights": toy(tmp_path)}
    edits = []
    for name in ("one", "two"):
        (folder,) = edit(head.scan, head.pathology, tmp_path / name, **options)
        edits.append(np.asarray(nib.load(folder / "edited_slice.nii.gz").dataobj))
        mask = nib.load(head.pathology)
        labels = np.array([0, 2, 1, 0, 4], np.uint8)[np.asarray(mask.dataobj)]
        nib.save(nib.Nifti1Image(labels, mask.affine), head.pathology)
    assert np.abs(edits[0] - edits[1]).max() > 1e-3


def test_what_regions_want(tmp_path):
    head = write_head(tmp_path / "head")
    with pytest.raises(InputError, match="holds one label only, but --condition regions wants 1 .*--condition mask"):
        edit(
            head.scan,
            head.pathology,
            tmp_path / "out",
            **QUICK,
            bundle="tumor",
            condition="regions",
            weights=toy(tmp_path),
        )
    with pytest.raises(InputError, match="--condition: 'regions' is for tumours"):
        edit(head.scan, head.pathology, tmp_path / "out", **QUICK, condition="regions", weights=toy(tmp_path))
    with pytest.raises(InputError, match="--condition: got 'region', wanted.* mask, box"):
        edit(head.scan, head.pathology, tmp_path / "out", **QUICK, bundle="tumor", condition="region")
    assert not (tmp_path / "out").exists()


def toy(folder: Path) -> str:
    from mededit_monai.networks import MaskConditionedUNet, save_weights

    torch.manual_seed(0)
    network = MaskConditionedUNet(in_channels=5, **NETWORK)
    with torch.no_grad():
        for weight in network.parameters():  # MONAI's last layers start at zero
            weight.copy_(0.1 * torch.randn_like(weight))
    save_weights(network, folder / "toy.pt")
    return str(folder / "toy.pt")

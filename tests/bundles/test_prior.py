# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The prior-conditioned editor of both bundles, from training to the edited scan at toy size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY, Head, write_head

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.networks import MaskConditionedUNet, save_weights
from mededit_monai.workflows import train

OVERLAY = REPOSITORY / "configs" / "prior_conditioned.yaml"
NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}
TOY = {"cohort_size": 4, "validation_size": 2, "batch_size": 2, "max_epochs": 1, "progress": False, **NETWORK}
QUICK = {"method": "prior", "slice_index": "auto", "progress": False} | {
    f"network_def#{k}": v for k, v in NETWORK.items()
}


def with_regions(head: Head) -> None:
    """The lesion as core (1), edema (2) and rim (4), one after the other along the first axis."""
    mask = nib.load(head.pathology)
    inside = np.asarray(mask.dataobj) > 0
    places = np.argwhere(inside)[:, 0]
    labels = np.zeros(inside.shape, np.uint8)
    labels[inside] = np.select([places < np.quantile(places, 0.3), places < np.median(places)], [1, 4], 2)
    nib.save(nib.Nifti1Image(labels, mask.affine), head.pathology)


@pytest.mark.parametrize(("bundle", "conditions"), [("stroke", ("mask", "box")), ("tumor", ("regions",))])
def test_from_training_to_an_edited_scan(bundle, conditions, tmp_path):
    """One weight file serves every condition."""
    train(bundle, overlays=[OVERLAY], output_dir=tmp_path / "training", **TOY)
    record = json.loads((tmp_path / "training" / "training.json").read_text())["settings"]
    assert record["family"] == "prior" and record["top_share"] == 0.3 and record["prediction_type"] == "sample"
    with open(tmp_path / "training" / "history.csv") as stream:
        (row,) = csv.DictReader(stream)
    assert 0 < float(row["no_edit_zone_error"]) < 0.2 and float(row["zone_error"]) > 0
    assert (tmp_path / "training" / "previews" / "epoch_0001.png").is_file()
    head = write_head(tmp_path / "head", "LIA")
    if bundle == "tumor":
        with_regions(head)
    weights = str(tmp_path / "training" / "model.pt")
    for condition in conditions:
        options = {**QUICK, "bundle": bundle, "condition": condition, "weights": weights}
        (folder,) = edit(head.scan, head.pathology, tmp_path / condition, **options)
        found = json.loads((folder / "provenance.json").read_text())
        assert found["nfe"] == found["options"]["steps"] == 2
        assert found["options"]["method"] == "prior" and found["options"]["condition"] == condition
        check_region(folder, head)


def check_region(folder: Path, head: Head) -> np.ndarray:
    """Nothing changed outside the region; returns it."""
    edited, region = (np.asarray(nib.load(folder / name).dataobj) for name in ("edited.nii.gz", "edit_region.nii.gz"))
    changed = edited != np.asarray(head.image.dataobj)
    assert not changed[region == 0].any()
    return region > 0


def constant_network(folder: Path, change: float, logit: float) -> str:
    """Weights of a network whose outputs are two constants everywhere."""
    network = MaskConditionedUNet(in_channels=8, out_channels=2, **NETWORK)
    with torch.no_grad():
        network.unet.out[2].conv.weight.zero_()
        network.unet.out[2].conv.bias.copy_(torch.tensor([change, logit]).repeat_interleave(4))
    save_weights(network, folder / "constant.pt")
    return str(folder / "constant.pt")


def test_the_region_of_change_is_the_region_written(tmp_path):
    """A shut gate leaves the scan alone and reports the lesion with its rim; an open one the brain or the limit."""
    head = write_head(tmp_path / "head")
    before, lesion = (np.asarray(nib.load(path).dataobj) for path in (head.scan, head.pathology))
    brain = np.asarray(nib.load(head.brain).dataobj) > 0
    options = {**QUICK, "brain": str(head.brain), "steps": 1, "slice_index": "auto"}
    (shut,) = edit(
        head.scan, head.pathology, tmp_path / "shut", weights=constant_network(tmp_path, 1.0, -200), **options
    )
    assert np.array_equal(np.asarray(nib.load(shut / "edited.nii.gz").dataobj), before)
    region, place = check_region(shut, head), lesion.any(axis=(0, 1)).argmax()
    z = int(region.any(axis=(0, 1)).argmax())
    assert region[lesion[:, :, z] > 0, z].all() and 0 < region.sum() < 3 * lesion[:, :, z].sum() and place <= z
    weights = constant_network(tmp_path, 0.1, 40)
    (opened,) = edit(head.scan, head.pathology, tmp_path / "open", weights=weights, region="auto", **options)
    wide = check_region(opened, head)
    assert np.array_equal(wide[:, :, z], brain[:, :, z]) and not np.delete(wide, z, axis=2).any()
    (limited,) = edit(head.scan, head.pathology, tmp_path / "limit", weights=weights, region="dilate", **options)
    narrow = check_region(limited, head)
    assert region.sum() < narrow.sum() < wide.sum() and not (narrow & ~wide).any()
    change = np.asarray(nib.load(opened / "edited.nii.gz").dataobj).astype(int) - before
    inner = narrow & (before > 30) & (before < 600)
    assert np.median(change[inner]) > 0  # c > 0 brightens


def test_samples_have_regions_of_their_own(tmp_path):
    head = write_head(tmp_path / "head")
    torch.manual_seed(0)
    network = MaskConditionedUNet(in_channels=8, out_channels=2, **NETWORK)
    with torch.no_grad():
        for weight in network.parameters():  # MONAI's last layers start at zero
            weight.copy_(0.2 * torch.randn_like(weight))
    save_weights(network, tmp_path / "random.pt")
    options = {**QUICK, "weights": str(tmp_path / "random.pt"), "samples": 2, "slice_index": "all", "sampler": "ddpm"}
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", **options)
    regions = [check_region(folder / f"sample_{k}", head) for k in range(2)]
    lesion = np.asarray(nib.load(head.pathology).dataobj) > 0
    assert all(region[lesion].all() for region in regions)
    assert all(np.array_equal(region.any(axis=(0, 1)), lesion.any(axis=(0, 1))) for region in regions)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "sdedit", "region": "auto"}, "--region: applies to --method prior, mededit; sdedit has its own"),
        ({"region": "nowhere.nii.gz"}, "nowhere.nii.gz: not found"),
        ({"guidance": "strong"}, "--guidance: got 'strong'"),
    ],
)
def test_bad_options(tmp_path, options, words):
    head = write_head(tmp_path / "head")
    weights = constant_network(tmp_path, 0.0, 0.0)
    with pytest.raises(InputError, match=words):
        edit(head.scan, head.pathology, tmp_path / "out", **{**QUICK, "weights": weights, **options})

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases with a displacement: read, cut, kept small, put together, and whole trainings on them."""

from __future__ import annotations

import csv
import math

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from training.moved_pairs import PIXEL, moved_pairs, planes

from mededit_monai.core.errors import InputError
from mededit_monai.io.datalist import read_datalist
from mededit_monai.networks.effects_network import taper_weight
from mededit_monai.training.lesion_free import RandLesionFreed
from mededit_monai.training.moved_cases import (
    Compactd,
    CropToBraind,
    LoadDisplacementd,
    TaperWeightd,
    Unpackd,
    at_nodes,
    halved,
    halved_batch,
    padded_batches,
)
from mededit_monai.workflows import train

SMALL = {"channels": [8, 16], "attention_levels": [False, False], "num_head_channels": 8, "norm_num_groups": 4}


def tensors(size: tuple[int, ...], k: int = 0) -> dict:
    """A case as loaded: 1xS, the displacement nxS."""
    made = planes(size, k)
    return {
        key: torch.from_numpy(one.astype(np.float32)) if key == "displacement" else torch.from_numpy(one[None]).float()
        for key, one in made.items()
    } | {"case_id": f"case{k}"}


@pytest.mark.parametrize("size", [(48, 48), (32, 32, 48)])
def test_the_displacement_is_read_along_the_grid(tmp_path, size):
    """On disk it is LPS; in memory the first component points to the right, as the grid's first axis."""
    case = read_datalist(moved_pairs(tmp_path, size, 3), "training")[1]
    found = LoadDisplacementd(len(size), PIXEL)(case)
    assert torch.allclose(found["displacement"], torch.from_numpy(planes(size, 1)["displacement"]), atol=6e-4)
    assert found["displacement"][0].max() > 2 and found["global_atrophy"] == 0.5 and found["pixel_mm"] == PIXEL


def test_displacements_that_do_not_fit(tmp_path):
    case = read_datalist(moved_pairs(tmp_path, (48, 48), 3), "training")[0]
    with pytest.raises(InputError, match="wanted a grid along RAS with pixels of 1.562 mm"):
        LoadDisplacementd(2, 200 / 128)(case)
    with pytest.raises(InputError, match="case 'case0' has no 'displacement'"):
        LoadDisplacementd(2, PIXEL)({**case, "displacement": None})
    image = nib.load(case["displacement"])
    image.header.set_intent(0)
    nib.save(image, case["displacement"])
    with pytest.raises(InputError, match="intent code 0, wanted 1007"):
        LoadDisplacementd(2, PIXEL)(case)


@pytest.mark.parametrize("size", [(48, 60), (33, 40, 47)])
def test_a_case_is_cut_to_its_brain(size):
    case = tensors(size)
    keys = ["prior", "prior_brain", "displacement"]
    found = CropToBraind(keys, margin=2)(case)
    sides = found["prior"].shape[1:]
    assert all(side % 2 == 0 for side in sides) and found["displacement"].shape[1:] == sides
    assert max(sides) < min(size) and found["plane_pixels"] == size[0] * size[1]
    assert found["prior_brain"].sum() == case["prior_brain"].sum()
    assert found["prior"].sum() == pytest.approx(float(case["prior"].sum()))
    assert torch.equal(found["prior"] > 0, (found["prior"] > 0) & (found["prior_brain"] > 0))
    inside = found["displacement"].square().sum()
    assert inside == pytest.approx(float(case["displacement"].square().sum())) and inside > 0


def test_half_of_the_grid_by_hand():
    case = tensors((48, 48))
    found = TaperWeightd(pixel_mm=PIXEL)(case)
    assert found["displacement"] is case["displacement"]
    weight = torch.from_numpy(taper_weight(case["prior_brain"][0].numpy() > 0, PIXEL))
    assert torch.allclose(found["taper"][0], halved(weight[None])[0])


@pytest.mark.parametrize("size", [(20, 24), (12, 16, 20)])
def test_interpolated_nodes_have_the_means_of_the_field(size):
    """Whatever the field is, white noise too, at the edges too."""
    torch.manual_seed(0)
    field = torch.randn(2, 2, *size)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    fine = torch.nn.functional.interpolate(at_nodes(field), scale_factor=2.0, mode=mode, align_corners=False)
    assert torch.allclose(halved_batch(fine), halved_batch(field), atol=1e-5)
    assert torch.allclose(at_nodes(torch.full_like(field, 3.0)), torch.tensor(3.0))
    field[:, :, :6] = 0
    still = (at_nodes(field) == 0).all(dim=1)
    assert still[:, :3].all() and not still[:, 3:].any()


def test_a_wave_keeps_its_height_at_the_nodes():
    """
    sin(2πx / 8) keeps cos(π/8) of its height in means over 2 pixels, and 3/4 cos(π/8) + 1/4 cos(3π/8) of that between
    them: it loses a quarter. The mean of interpolated nodes is 3/4 of the nodes, which make up for that.
    """
    wave = torch.sin(2 * torch.pi * (torch.arange(64) + 0.5) / 8).view(1, 1, 64, 1).expand(1, 1, 64, 64)
    inner = wave[..., 16:48, :]
    heights = []
    for halves in (at_nodes(wave), halved_batch(wave)):
        fine = torch.nn.functional.interpolate(halves, scale_factor=2.0, mode="bilinear", align_corners=False)
        heights.append(float((fine[..., 16:48, :] * inner).sum() / inner.square().sum()))
    mean, between = math.cos(math.pi / 8), 0.75 * math.cos(math.pi / 8) + 0.25 * math.cos(3 * math.pi / 8)
    assert heights == pytest.approx([mean / 0.75 * between, mean * between], abs=1e-5)


def test_small_types_keep_what_matters():
    case = tensors((48, 48)) | {"regions": torch.full((1, 48, 48), 3.0), "global_atrophy": 0.25}
    small = Compactd(["prior_brain", "pathology", "regions"])(case)
    assert small["pathology"].dtype == small["regions"].dtype == torch.uint8 and small["prior"].dtype == torch.float16
    back = Unpackd()(small)
    assert all(one.dtype == torch.float32 for one in back.values() if isinstance(one, torch.Tensor))
    assert torch.equal(back["regions"], case["regions"]) and torch.equal(back["pathology"], case["pathology"])
    assert (back["prior"] - case["prior"]).abs().max() < 3e-4 and back["global_atrophy"] == 0.25
    assert (back["displacement"] - case["displacement"]).abs().max() < 2e-3  # mm
    assert torch.equal(back["displacement"] == 0, case["displacement"] == 0)


def test_batches_are_padded_around_each_case():
    keys = [key for key, one in tensors((40, 40)).items() if isinstance(one, torch.Tensor)]
    small, large = (TaperWeightd(pixel_mm=PIXEL)(CropToBraind(keys)(tensors(size))) for size in ((40, 40), (56, 64)))
    assert small["prior"].shape[1] < large["prior"].shape[1]
    found = padded_batches(16)([small, large])
    assert found["prior"].shape == (2, 1, 64, 64) and found["displacement"].shape == (2, 2, 64, 64)
    assert found["taper"].shape == (2, 1, 32, 32)
    for k, case in enumerate((small, large)):
        assert found["prior"][k].sum() == pytest.approx(float(case["prior"].sum()))
        # what lay over each other lies over each other still
        mask, full = found["prior_brain"][k, 0], case["prior_brain"][0]
        shifts = [int(mask.any(dim=axis).nonzero()[0] - full.any(dim=axis).nonzero()[0]) for axis in (1, 0)]
        assert all(one % 2 == 0 and abs(one - (64 - side) / 2) <= 1 for one, side in zip(shifts, full.shape))
        for key, part in (("displacement", 1), ("taper", 2)):
            first, second = (one // part for one in shifts)
            rows, columns = case[key].shape[1:]
            assert torch.equal(found[key][k, :, first : first + rows, second : second + columns], case[key])


def test_a_case_without_its_lesion_has_not_moved():
    case = tensors((48, 48)) | {"global_atrophy": 0.5}
    freed = RandLesionFreed(prob=1.0, keep_prior=True)(case)
    assert not freed["displacement"].any() and freed["global_atrophy"] == 0 and not freed["pathology"].any()
    assert torch.equal(freed["image"], case["prior"]) and case["displacement"].any()


@pytest.mark.parametrize("family", ["effects", "paint"])
def test_without_the_overlay(tmp_path, family):
    """The bundle's own recipe loads no displacement."""
    datalist = moved_pairs(tmp_path / "cases", (32, 32), 6)
    small = {**SMALL, "batch_size": 2, "progress": False, "device": "cpu", "max_epochs": 1}
    with pytest.raises(
        InputError, match=f"has no '.*'; --family {family} wants pairs.* --config configs/{family}.yaml"
    ):
        train(family=family, datalist=datalist, output_dir=tmp_path / "out", **small)


def history(folder) -> list[dict]:
    with open(folder / "history.csv", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "overlay, size, more",
    [
        ("effects", (48, 48), {}),
        ("effects", (48, 48), {"regions": True, "condition": "regions", "amp": None}),
        ("effects", (32, 32, 32), {"spatial_dims": 3, "cache": "disk"}),
        ("paint", (80, 80), {"regions": True}),
    ],
)
def test_a_training_runs_goes_on_and_gives_finite_weights(tmp_path, overlay, size, more):
    regions = more.pop("regions", False) if isinstance(more, dict) else False
    datalist = moved_pairs(tmp_path / "cases", size, 6, regions)
    settings = SMALL | {"batch_size": 2, "epoch_cases": 2, "val_cases": 2, "progress": False, "device": "cpu"}
    settings |= {"datalist": datalist, "output_dir": tmp_path / "out", "ema_decay": 0.0, "patch": 4} | more
    config = [str(REPOSITORY / "configs" / f"{overlay}.yaml")]
    for epochs in (1, 3):
        folder = train("stroke", config, max_epochs=epochs, **settings)
    rows = history(folder)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and all(float(row["val_loss"]) >= -1 for row in rows)
    wanted = {"effects": {"val_variance_left"}, "paint": {"val_loss_t0", "val_loss_t600"}}  # two cases, two levels
    assert wanted[overlay] <= set(rows[0])
    if overlay == "paint":
        assert (folder / "previews" / "epoch_0003.png").is_file() and float(rows[2]["edit_contrast"]) < 2
    weights = torch.load(folder / "model_last.pt", weights_only=True)
    assert all(torch.isfinite(one.float()).all() for one in weights.values())

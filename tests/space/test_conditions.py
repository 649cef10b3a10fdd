# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Condition channels, from labels and along the way of an edit."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.conditions import condition_channels, condition_width, fused_channels
from mededit_monai.space.to_model import ToModelSpaced

LABELS = torch.tensor([[[0, 1, 2, 0], [0, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2]]])


def test_channels_by_hand():
    mask = [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    boxes = [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert condition_channels(LABELS, "mask")[0].tolist() == mask
    assert condition_channels(LABELS, "box")[0].tolist() == boxes
    regions = condition_channels(LABELS, "regions")
    for channel, places in enumerate(([(0, 1)], [(0, 2), (3, 3)], [(1, 1)])):
        assert torch.nonzero(regions[channel]).tolist() == [list(p) for p in places]
    assert [condition_width(c) for c in ("mask", "box", "regions")] == [1, 1, 3]


def test_an_unknown_condition():
    with pytest.raises(InputError, match="--condition: got 'masks', wanted one of mask, box, regions"):
        condition_channels(LABELS, "masks")


@pytest.fixture
def case(tmp_path):
    """A brain of 80 mm sides at 1 mm with a tumour of three 20 mm blocks side by side in slices 38 to 42."""
    scan = np.zeros((100, 100, 80), np.float32)
    scan[10:90, 10:90, 10:70] = 100 + np.random.default_rng(0).random((80, 80, 60))
    tumor = np.zeros(scan.shape, np.uint8)
    for label, start in ((1, 20), (2, 40), (4, 60)):
        tumor[start : start + 20, 30:50, 38:43] = label
    for name, data in (("scan", scan), ("tumor", tumor), ("mask", (tumor > 0).astype(np.uint8))):
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f"{name}.nii")
    return {key: str(tmp_path / f"{key}.nii") for key in ("scan", "tumor", "mask")}


def loaded(case: dict, mask: str, condition: str, labels: bool = True) -> dict:
    read = LoadCased(labels, condition)({"case_id": "a", "scan": case["scan"], "pathology": case[mask], "brain": None})
    return ToModelSpaced(40, window=128, condition=condition, dilation=5)(read)  # 1 mm model pixels


def test_regions_reach_the_model_where_they_are(case):
    found = loaded(case, "tumor", "regions")
    condition, start = found["condition"][0], found["space"].start
    assert condition.shape == (3, 128, 128)
    for channel, first in enumerate((20, 40, 60)):
        wanted = torch.zeros(128, 128)
        wanted[first - start[0] : first + 20 - start[0], 30 - start[1] : 50 - start[1]] = 1
        assert torch.equal(condition[channel], wanted)
    assert torch.equal(condition.sum(0), found["pathology"][0, 0])


def test_labels_are_united_for_a_mask(case):
    one, two = loaded(case, "tumor", "mask"), loaded(case, "mask", "mask")
    assert torch.equal(one["condition"], two["condition"]) and torch.equal(one["condition"], one["pathology"])


def test_a_region_grows_from_the_boxes(case):
    scan = nib.load(case["mask"])
    data = np.asarray(scan.dataobj).copy()
    data[20:40, 30:40] = 0  # an L: its box is the whole block
    nib.save(nib.Nifti1Image(data, np.eye(4)), case["mask"])
    box, mask = loaded(case, "mask", "box"), loaded(case, "mask", "mask")
    assert box["condition"].sum() == 60 * 20 and mask["condition"].sum() == 60 * 20 - 20 * 10
    assert box["region"].sum() == 64 * 24  # five pixels: two to each side


def test_what_regions_need(case):
    with pytest.raises(InputError, match="mask.nii: holds one label only, but --condition regions wants 1"):
        loaded(case, "mask", "regions")
    with pytest.raises(InputError, match="--condition: 'regions' is for tumours"):
        loaded(case, "tumor", "regions", labels=False)
    with pytest.raises(InputError, match="tumor.nii: is not a binary mask: found 4 values"):
        loaded(case, "tumor", "mask", labels=False)


def test_labels_that_are_none(case):
    data = np.asarray(nib.load(case["tumor"]).dataobj).copy()
    data[20, 30, 40] = 3
    nib.save(nib.Nifti1Image(data, np.eye(4)), case["tumor"])
    with pytest.raises(InputError, match=r"label 4 beside label 3, wanted .*0, 1, 2, 4"):
        loaded(case, "tumor", "regions")


def test_fused_channels_by_hand():
    regions = condition_channels(LABELS, "regions")[None]
    for condition, filled in (("mask", [0]), ("box", [1]), ("regions", [2, 3, 4])):
        channels = condition_channels(LABELS, condition)[None]
        fused = fused_channels(channels, condition)
        assert torch.equal(fused[:, filled], channels)
        assert fused.sum() == channels.sum()
    with pytest.raises(InputError, match="--condition mask: got 3 channels, wanted 1"):
        fused_channels(regions, "mask")

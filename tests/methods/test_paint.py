# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painted region and the box around it, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.methods import paint
from mededit_monai.methods.build import method_network
from mededit_monai.methods.paint import CHANGE_SCALE, crop_around, limited_change, paint_region, scaled_change
from mededit_monai.space import fine_view


def test_the_painted_region_is_the_lesion_and_two_pixels_around_it():
    brain, lesion = torch.zeros(1, 1, 20, 20), torch.zeros(1, 3, 20, 20)
    brain[..., 3:18, 3:18] = 1
    lesion[:, 0, 8, 8] = 1
    lesion[:, 2, 8, 9] = 1  # channels are united
    lesion[:, 1, 17, 17] = 1  # at the brain's edge: the rim ends there
    wanted = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    wanted[..., 6:11, 6:12] = True
    wanted[..., 15:18, 15:18] = True
    assert torch.equal(paint_region(lesion, brain), wanted)
    assert not paint_region(torch.zeros_like(lesion), brain).any()


@pytest.mark.parametrize(("dims", "multiple"), [(2, paint.MULTIPLE), (3, fine_view.MULTIPLE)])
def test_boxes_have_sides_that_the_networks_take(dims, multiple):
    size = {"channels": (32,) * 4, "num_res_blocks": 1, "num_head_channels": 32, "norm_num_groups": 16, "patch": 2}
    network = method_network("morph", "mask", spatial_dims=dims, attention_levels=(False,) * 4, **size)
    assert multiple % network.multiple == 0


def test_the_painted_region_of_a_volume():
    lesion = torch.zeros(1, 1, 9, 9, 9)
    lesion[..., 4, 4, 4] = 1
    found = paint_region(lesion, torch.ones_like(lesion))
    assert found.sum() == 5**3 and found[..., 2:7, 2:7, 2:7].all()


@pytest.mark.parametrize(
    ("rows", "columns", "wanted"),
    [
        ((60, 64), (60, 61), ((30, 94), (28, 92))),  # small: 64 a side, in the middle of it
        ((40, 90), (40, 88), ((25, 105), (32, 96))),  # 50 + 2 · 8 = 66, next multiple of 16: 80; 48 + 16 = 64
        ((0, 3), (126, 128), ((0, 64), (64, 128))),  # shifted to lie on the grid
        ((10, 110), (10, 107), ((0, 128), (0, 128))),  # 116 and 113: all of it
    ],
)
def test_the_box_around_a_region(rows, columns, wanted):
    region = np.zeros((128, 128), dtype=bool)
    region[slice(*rows), slice(*columns)] = True
    assert tuple((side.start, side.stop) for side in crop_around(region)) == wanted


def test_small_grids_and_empty_regions_are_taken_whole():
    assert crop_around(np.zeros((48, 80), dtype=bool)) == (slice(0, 48), slice(8, 72))
    region = np.zeros((48, 48, 112), dtype=bool)
    region[20, 20, 100] = True
    assert crop_around(region) == (slice(0, 48), slice(0, 48), slice(48, 112))


def test_the_scaled_change_added_to_the_displaced_scan_is_the_image():
    image, displaced = torch.tensor([[[[0.4, -1.0, 1.0]]]]), torch.tensor([[[[-0.2, -1.0, 0.5]]]])
    assert torch.allclose(displaced + CHANGE_SCALE * scaled_change(image, displaced), image)


def test_a_change_is_limited_to_what_keeps_the_image_in_range():
    """From 0.5 up by 0.5 to 1, down by 1.5 to -1: in units of s."""
    change, displaced = torch.tensor([3.0, -4.0, 0.2]), torch.full((3,), 0.5)
    assert limited_change(change, displaced, (-1.0, 1.0)).tolist() == pytest.approx([1.0, -3.0, 0.2])
    assert limited_change(change, displaced, None) is change

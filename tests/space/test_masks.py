# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.space.masks import component_boxes, dilate, edit_region, tapered_dilation


def point(shape, at):
    mask = torch.zeros(1, 1, *shape)
    mask[(0, 0, *at)] = 1
    return mask


@pytest.mark.parametrize("kernel, low, high", [(0, 0, 0), (1, 0, 0), (3, 1, 1), (25, 12, 12), (2, 0, 1), (20, 9, 10)])
def test_dilation_of_a_point(kernel, low, high):
    """Odd kernels are centred; even ones reach one pixel further toward higher indices."""
    found = np.argwhere(dilate(point((64, 64), (30, 31)), kernel)[0, 0].numpy())
    assert found.min(0).tolist() == [30 - low, 31 - low]
    assert found.max(0).tolist() == [30 + high, 31 + high]
    assert len(found) == (low + high + 1) ** 2


@pytest.mark.parametrize("kernel, low, high", [(3, 1, 1), (4, 1, 2), (6, 2, 3)])
def test_dilation_in_three_dimensions(kernel, low, high):
    """A cube, whose sides are cut off where the volume ends."""
    assert dilate(point((9, 9, 9), (4, 4, 4)), kernel).sum() == kernel**3
    found = np.argwhere(dilate(point((9, 9, 9), (4, 4, 8)), kernel)[0, 0].numpy())
    assert found.min(0).tolist() == [4 - low, 4 - low, 8 - low] and found.max(0).tolist() == [4 + high, 4 + high, 8]
    assert len(found) == (low + high + 1) ** 2 * (low + 1)


def test_dilation_stops_at_the_border():
    assert dilate(point((16, 16), (0, 15)), 5).sum() == 9


def test_edit_region_is_cut_to_the_brain():
    brain = torch.zeros(1, 1, 32, 32)
    brain[..., :16, :] = 1
    lesion = point((32, 32), (14, 14))
    assert edit_region(lesion, brain, 5).sum() == 4 * 5
    assert edit_region(lesion, brain, 5, within_brain=False).sum() == 25


def test_edit_region_unites_channels():
    lesion = torch.cat([point((32, 32), (5, 5)), point((32, 32), (20, 20))], dim=1)
    assert edit_region(lesion, torch.ones(1, 1, 32, 32), 3).sum() == 18


def test_refuses_a_negative_kernel():
    with pytest.raises(ValueError, match="-1"):
        dilate(point((4, 4), (1, 1)), -1)


def test_tapered_dilation_is_a_bipyramid():
    stack = np.zeros((21, 40, 40), dtype=bool)
    stack[10, 20, 20] = True
    reached = tapered_dilation(stack, kernel=9, slice_pixels=1.0)
    assert reached.sum(axis=(1, 2)).tolist() == [0] * 6 + [1, 9, 25, 49, 81, 49, 25, 9, 1] + [0] * 6


def test_boxes_keep_every_component():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2, 2] = True  # a single pixel: min_size = 1
    mask[5:8, 5] = mask[7, 5:9] = True  # an L
    mask[12, 12] = mask[13, 13] = True  # diagonal neighbours are one component
    boxes = component_boxes(mask)
    assert boxes.sum() == 1 + 3 * 4 + 4
    assert boxes[5:8, 5:9].all() and boxes[12:14, 12:14].all() and boxes[2, 2]

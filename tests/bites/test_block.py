# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The model's grid along z, on blocks whose weights can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.model_space import ModelSpace

SIDE = 16


def block(slices: int, spacing_z: float, depth: int, origin=(0.0, 0.0, 0.0)) -> ModelSpace:
    """Model pixels of 2 mm over a brain that fills all slices."""
    affine = np.diag([2.0, 2.0, spacing_z, 1.0])
    affine[:3, 3] = origin
    return ModelSpace.around_brain(np.ones((SIDE, SIDE, slices), dtype=bool), affine, 2 * SIDE, SIDE, depth)


def profile(found: ModelSpace, values) -> np.ndarray:
    """What slices of one value each become, model slice by model slice."""
    volume = np.ones((SIDE, SIDE, len(values))) * np.asarray(values, dtype=float)
    (small,) = found.resample(lambda z: volume[:, :, z].astype(np.float32), volume.any(axis=(0, 1)))
    assert (np.ptp(small, axis=(0, 1)) < 1e-6).all()
    return small[0, 0]


def test_model_slices_are_centred_and_a_pixel_apart():
    assert block(9, 1.0, 3).heights.tolist() == [2, 4, 6]
    assert block(8, 4.0, 4).heights.tolist() == [2.75, 3.25, 3.75, 4.25]


def test_thin_slices_are_averaged():
    """1 mm slices on pixels of 2 mm: a triangle 4 mm wide, 1/4 1/2 1/4, centred on every second slice."""
    found = block(9, 1.0, 3)
    for z, wanted in ((2, [1 / 2, 0, 0]), (3, [1 / 4, 1 / 4, 0]), (4, [0, 1 / 2, 0]), (1, [1 / 4, 0, 0])):
        assert profile(found, np.eye(9)[z]) == pytest.approx(wanted, abs=1e-6)


def test_what_changes_from_slice_to_slice_is_averaged_away():
    """Every second slice is bright; picking slices would show all of it, or nothing."""
    assert profile(block(33, 1.0, 9), np.arange(33) % 2) == pytest.approx([0.5] * 9, abs=1e-6)


def test_thick_slices_are_interpolated():
    """4 mm slices on pixels of 2 mm: linear between neighbours."""
    found = profile(block(8, 4.0, 4), np.arange(8))
    assert found == pytest.approx([2.75, 3.25, 3.75, 4.25], abs=1e-6)


def test_beyond_the_volume_is_nothing():
    """The triangle of an outer model slice reaches out of the volume; what lies there counts as 0."""
    assert profile(block(5, 1.0, 3), np.ones(5)) == pytest.approx([3 / 4, 1, 3 / 4], abs=1e-6)


def test_the_affine_leads_to_the_same_place():
    """Model slice k lies where its height is, in mm of the scan."""
    found = block(8, 4.0, 4, (-10, -20, -30))
    for k in range(4):
        assert (found.affine @ [0, 0, k, 1])[2] == pytest.approx(-30 + 4 * found.heights[k])

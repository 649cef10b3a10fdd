# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Directions of axes, of good affines and of those that a damaged header holds."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.directions import axis_names, is_usable
from mededit_monai.io.formats.nifti import orientation_warnings


@pytest.mark.parametrize("names", ["RAS", "LPS", "PIR", "SLA"])
@pytest.mark.parametrize("sides", [(1, 1, 1), (0.3, 5, 1.2), (1e-3, 1e-3, 1e-3)])
def test_axes_point_where_they_point(names, sides):
    upright = nib.Nifti1Image(np.zeros((5, 6, 7), np.uint8), np.diag([*sides, 1.0]))
    affine = upright.as_reoriented(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(names))).affine
    assert is_usable(affine) and axis_names(affine) == names


@pytest.mark.parametrize(
    "row", [(0, 0, 0, 0), (0.5, 0.6, 2.6e33, -47), (np.nan, 0, 0, 0), (1, 0, 0, np.inf), (1e300, 1e300, 1, 0)]
)
def test_a_damaged_affine_is_told_without_a_word_of_numpys(row):
    affine = np.array([row, (0.06, -5, 0, 90), (0, 0, 1.2, 12), (0, 0, 0, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not is_usable(affine) and axis_names(affine) == "???"


def test_a_broken_qform_gives_way_to_the_sform():
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([2.0, 2, 2, 1]))
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header["qoffset_x"] = np.nan
    assert orientation_warnings(Path("a.nii"), image) == ()
    image.header["sform_code"] = 0
    with pytest.raises(InputError, match="a.nii: has an unusable qform and no sform; repair its header"):
        orientation_warnings(Path("a.nii"), image)

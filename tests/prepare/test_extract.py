# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network finds the brain that it should, and what is none is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.extract import found_brain
from mededit_monai.prepare.register import template_brain


def head() -> tuple[Volume, np.ndarray]:
    """The template in a skull, dark, and a scalp, bright, on a noisy background; and its brain."""
    template = template_brain()
    data = np.pad(template.data, 12)
    affine = template.affine @ np.array([[1.0, 0, 0, -12], [0, 1, 0, -12], [0, 0, 1, -12], [0, 0, 0, 1]])
    brain = ndimage.binary_fill_holes(data > 0.1)
    far = ndimage.distance_transform_edt(~brain)
    data = np.where((far > 4) & (far < 8), 0.7, np.where((far > 2) & (far <= 4), 0.08, data))
    data = 800 * data + np.random.default_rng(0).uniform(1, 20, data.shape)
    return Volume(Path("head.nii.gz"), data.astype(np.float32), affine, affine, data.shape), brain


def test_a_head():
    scan, brain = head()
    found, source = found_brain(scan)
    assert source == "network"
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.93


def test_not_asked_for():
    with pytest.raises(InputError, match="skull-stripped"):
        found_brain(head()[0], extract=False)


def test_no_head():
    scan, _ = head()
    noise = np.random.default_rng(1).uniform(1, 800, scan.data.shape).astype(np.float32)
    with pytest.raises(InputError, match="head.nii.gz: .*whole head.* --brain FILE"):
        found_brain(Volume(scan.path, noise, scan.affine, scan.affine, noise.shape))

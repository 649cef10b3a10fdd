# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network finds the brain that it should, and what is none is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare import extract
from mededit_monai.prepare.extract import found_brain
from mededit_monai.prepare.register import template_brain


@pytest.fixture(scope="module")
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


def test_a_head(head):
    scan, brain = head
    found, source = found_brain(scan)
    assert source == "network"
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.93


def test_not_asked_for(head):
    with pytest.raises(InputError, match="skull-stripped"):
        found_brain(head[0], extract=False)


class Network:
    """Finds what it is told to."""

    def __init__(self, mask: np.ndarray | None) -> None:
        self.mask = mask

    def run(self, image: nib.Nifti1Image) -> tuple:
        if self.mask is None:
            raise ValueError("nothing is left")
        return image, nib.Nifti1Image(self.mask.astype(np.uint8), image.affine), image


@pytest.mark.parametrize(
    ("side", "words"),
    [(10, "has 27 ml, wanted"), (40, "has 1728 ml"), (70, "has 9261 ml, wanted"), (0, "nothing is left")],
)
def test_what_the_network_finds_is_weighed(monkeypatch, side, words):
    """A cube of 3 mm voxels."""
    mask = np.zeros((80, 80, 80), bool)
    mask[:side, :side, :side] = True
    monkeypatch.setattr(extract, "_network", lambda on_gpu: Network(mask if side else None))
    affine = np.diag([3.0, 3, 3, 1])
    scan = Volume(Path("head.nii.gz"), np.ones(mask.shape, np.float32), affine, affine, mask.shape)
    if side == 40:
        assert np.array_equal(extract.extracted_brain(scan), mask)
        return
    with pytest.raises(InputError, match=f"head.nii.gz: .*{words}.*whole head.* --brain FILE"):
        extract.extracted_brain(scan)


@pytest.mark.slow  # the sentence: the test above
def test_no_head(head):
    scan, _ = head
    noise = np.random.default_rng(1).uniform(1, 800, scan.data.shape).astype(np.float32)
    with pytest.raises(InputError, match="head.nii.gz: .*whole head.* --brain FILE"):
        found_brain(Volume(scan.path, noise, scan.affine, scan.affine, noise.shape))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The template's own brain, moved by a known transform, is found where it was put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mededit_monai.core.errors import InputError
from mededit_monai.prepare.itk_image import BrainImage
from mededit_monai.prepare.register import Registration, aligned, template_brain

#: Corners of the brain, world mm.
POINTS = np.array([[60.0, 0, 0], [-60, 0, 0], [0, 60, 0], [0, -90, 0], [0, 0, 65], [0, 0, -40]]).T


def moved(degrees, shift=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)) -> tuple[BrainImage, np.ndarray]:
    """The template where another affine puts it, and the transform there."""
    template = template_brain().coarser(3.0)
    place = np.eye(4)
    place[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ np.diag(scale)
    place[:3, 3] = shift
    return BrainImage(template.data, place @ template.affine), place


def error_mm(found: np.ndarray, true: np.ndarray) -> float:
    """The largest distance between two affines' images of the brain's corners."""
    apart = (found[:3, :3] - true[:3, :3]) @ POINTS + (found[:3, 3:] - true[:3, 3:])
    return float(np.linalg.norm(apart, axis=0).max())


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "degrees, turned",
    [
        ((28.0, -12.0, 9.0), False),
        ((0.0, 0.0, 180.0), True),
        pytest.param((90.0, 0.0, 0.0), True, marks=pytest.mark.slow),
    ],
)
def test_any_pose(degrees, turned):
    image, place = moved(degrees, (7, -11, 20))
    found = aligned(template_brain(), image, "head")
    assert error_mm(found.pose, place) < 1 and error_mm(found.template_to_scan, place) < 1.5
    assert found.similarity > 0.95 and found.overlap > 0.95 and found.turned is turned
    assert found.warnings == [] if not turned else "check the header" in found.warnings[0]


@pytest.mark.slow
def test_size_and_shape():
    image, place = moved((5.0, 0.0, 3.0), scale=(0.9, 0.95, 0.85))
    found = aligned(template_brain(), image, "head")
    assert error_mm(found.template_to_scan, place) < 2
    assert np.allclose(found.pose[:3, :3] @ found.pose[:3, :3].T, np.eye(3), atol=1e-6)
    again = aligned(template_brain(), image, "head")
    assert np.array_equal(again.template_to_scan, found.template_to_scan)


def test_tilt_is_counted_from_the_scan_s_axes():
    """An oblique slab through an upright head shows a tilted one; slices that were laid along a tilted head do not."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    upright = Registration(np.eye(4), np.eye(4), turn[:3, :3], 1.0, 1.0)
    along = replace(upright, pose=turn)
    assert upright.tilt_degrees == pytest.approx(20) and along.tilt_degrees == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_what_is_no_brain():
    image, _ = moved((0.0, 0.0, 0.0))
    noise = np.random.default_rng(0).random(image.data.shape).astype(np.float32)
    with pytest.raises(InputError, match="does not match the ICBM 152 template .* --no_prepare"):
        aligned(template_brain(), BrainImage(noise * (image.data > 0), image.affine), "noise.nii.gz")


def test_doubtful():
    doubtful = Registration(np.eye(4), np.eye(4), np.eye(3), 0.5, 0.9)
    assert "doubtful (correlation 0.50" in doubtful.warnings[0]
    assert replace(doubtful, similarity=0.8).warnings == []

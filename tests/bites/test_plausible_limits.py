# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is refused and what is only warned of, at the limits themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.plausible import brain_warnings, intensity_warnings, lesion_warnings

MASK = Path("lesion.nii.gz")


def volume(data: np.ndarray, spacing: float = 1.0) -> Volume:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    return Volume(Path("scan.nii.gz"), data.astype(np.float32), affine, affine, data.shape)


def head(side: int = 80, brain: float = 100.0, air: float = 0.0) -> tuple[Volume, np.ndarray]:
    """A cube of brain in a cube of air, 1 mm voxels; 343 ml of it are brain."""
    inside = np.zeros((side, side, side), dtype=bool)
    inside[5:75, 5:75, 5:75] = True
    return volume(np.where(inside, brain, air)), inside


def lesion(inside: int, outside: int) -> tuple[np.ndarray, np.ndarray, Volume]:
    """So many voxels of a lesion in the brain and out of it, in a row."""
    scan, brain = head()
    mask = np.zeros(brain.shape, dtype=bool)
    mask[10 : 10 + inside, 10, 10] = True
    mask[10 : 10 + outside, 0, 0] = True
    return mask, brain, scan


def test_a_lesion_that_lies_outside_by_four_fifths_is_used_and_more_is_refused():
    (warning,) = lesion_warnings(MASK, *lesion(10, 40))
    assert "80.0% of the pathology mask lies outside" in warning
    with pytest.raises(InputError, match="mostly outside the brain \\(80.4% of 51 voxels\\)"):
        lesion_warnings(MASK, *lesion(10, 41))


def test_the_smallest_part_outside_is_told_of():
    assert lesion_warnings(MASK, *lesion(40, 0)) == []
    (warning,) = lesion_warnings(MASK, *lesion(60, 1))
    assert "1.6% of the pathology mask lies outside" in warning


def test_the_lesions_share_is_one_of_the_brain():
    """A block of all of the brain's 70 mm, 70 mm and some: 40 % pass, more is warned of, above 70 % is refused."""
    scan, brain = head()
    for depth, words in ((28, None), (29, "41% of the brain"), (49, "70% of the brain")):
        mask = np.zeros_like(brain)
        mask[5:75, 5:75, 5 : 5 + depth] = True
        warnings = lesion_warnings(MASK, mask, brain, scan)
        assert (warnings == []) if words is None else (words in warnings[0])
    mask[5:75, 5:75, 5:55] = True
    with pytest.raises(InputError, match="covers 71% of the brain"):
        lesion_warnings(MASK, mask, brain, scan)


def test_a_brains_volume_is_in_millilitres():
    scan, brain = head()
    assert brain_warnings(MASK, brain, scan) == []  # 343 ml
    smaller = volume(scan.data, 0.8)
    (warning,) = brain_warnings(MASK, brain, smaller)
    assert "176 ml only" in warning


@pytest.mark.parametrize("air", [0.0, 500.0, -500.0])
def test_air_says_nothing_about_the_brains_intensities(air):
    """In the brain a twentieth is negative, or the scale does not begin at 0; what lies around it changes neither."""
    scan, brain = head(air=air)
    scan.data[5:75, 5:75, 5:8] = -1  # 3 of 70 slices, 4.3 %
    (warning,) = intensity_warnings(scan, brain)
    assert "negative in 4.3% of the brain" in warning
    scan, brain = head(air=air)
    (warning,) = intensity_warnings(scan, brain)
    assert "100% of the brightest's intensity" in warning


def test_a_brain_that_is_negative_by_more_than_a_tenth_is_refused():
    scan, brain = head()
    scan.data[5:75, 5:75, 5:12] = -1  # 7 of 70 slices, a tenth
    assert "negative in 10.0%" in intensity_warnings(scan, brain)[0]
    scan.data[5:75, 5:75, 12] = -1
    with pytest.raises(InputError, match="negative in 11% of the brain"):
        intensity_warnings(scan, brain)

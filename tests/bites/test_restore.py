# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a change goes into the scan, on a grid where the model's pixels are the scan's: every number by hand."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.io.nifti import NativeCopy, read_volume
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.restore import restore, restored_values

SIDE = 16
SPACE = ModelSpace(np.eye(4), (1.0, 1.0, 1.0), (0, 0), np.arange(1), SIDE, SIDE)
CEILING = 200.0

#: The scan has a texture that the model does not see: 110 where its prior says 0.5 of 200.
NATIVE, PRIOR = np.full((SIDE, SIDE), 110.0), np.full((SIDE, SIDE), 0.5)


def after(change: float, mode: str = "residual") -> float:
    """A voxel of the scan after a change of the whole slice."""
    plane = restored_values(NATIVE, np.full_like(PRIOR, change), PRIOR + change, CEILING, mode)
    assert np.ptp(plane) < 1e-4
    return float(plane[8, 8])


def share(change: float) -> float:
    """How much of a voxel is the model's edit, and how much is the scan with the change added."""
    added, edited = 110 + 200 * change, 200 * (0.5 + change)
    return (after(change) - added) / (edited - added)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_faint_change_is_added_and_a_strong_one_is_drawn(sign):
    """Up to a tenth of the range the texture is the patient's; from three tenths on the tissue under it is gone."""
    for change in (0.02, 0.06, 0.1):
        assert after(sign * change) == pytest.approx(110 + 200 * sign * change, abs=1e-3)
    for change in (0.3, 0.35, 0.45):
        assert after(sign * change) == pytest.approx(100 + 200 * sign * change, abs=1e-3)


@pytest.mark.parametrize("sign", [-1, 1])
def test_between_them_lies_a_smooth_step(sign):
    """Half-way at 0.2 of the range; at a quarter of the way 3/16 - 2/64 = 5/32, at three quarters the rest of it."""
    assert share(sign * 0.2) == pytest.approx(1 / 2, abs=1e-4)
    assert share(sign * 0.15) == pytest.approx(5 / 32, abs=1e-4)
    assert share(sign * 0.25) == pytest.approx(27 / 32, abs=1e-4)


def test_no_change_is_the_scan_and_replacing_is_the_edit():
    assert after(0.0) == 110.0
    assert after(0.02, mode="replace") == pytest.approx(104, abs=1e-3)


def restored(tmp_path, scan: np.ndarray, change: float, dtype=np.float32, region=None, brain=None):
    """A scan of one slice after a change in its region, the whole slice if none is given; and what was found."""
    image = nib.Nifti1Image(scan[:, :, None].astype(dtype), np.eye(4))
    nib.save(image, tmp_path / "scan.nii.gz")
    copy = NativeCopy(read_volume(tmp_path / "scan.nii.gz"))
    prior = np.clip(scan / CEILING, 0, 1)[None].astype(np.float32)
    everything = np.ones((SIDE, SIDE), dtype=bool)
    where = (everything if region is None else region)[None]
    inside = (everything if brain is None else brain)[:, :, None]
    edit = np.where(where, prior + np.float32(change), prior)
    found = restore(copy, inside, SPACE, [CEILING], prior, edit, where)
    copy.save(tmp_path / "edited.nii.gz")
    return nib.load(tmp_path / "edited.nii.gz").get_fdata()[:, :, 0], found


RAMP = np.repeat(np.linspace(0, 60, SIDE)[:, None], SIDE, axis=1)


def test_a_magnitude_image_gets_no_negative_value(tmp_path):
    """20 units darker: what was below 20 ends at 0, and the rest at its own value less 20."""
    found, _ = restored(tmp_path, RAMP, -0.1)
    assert found == pytest.approx(np.maximum(RAMP - 20, 0), abs=1e-3)
    assert found.min() == 0 and (found == 0).sum() == SIDE * (RAMP[:, 0] <= 20).sum()


def test_a_signed_image_may_go_as_low_as_it_was(tmp_path):
    """Its lowest value is -30, so what would fall below that ends there, and what falls below 0 stays as it falls."""
    found, _ = restored(tmp_path, RAMP - 30, -0.1)
    assert found.min() == -30
    assert found == pytest.approx(np.maximum(RAMP - 50, -30), abs=1e-3)


def test_nothing_changes_outside_the_region_and_outside_the_brain(tmp_path):
    region, brain = np.zeros((SIDE, SIDE), dtype=bool), np.ones((SIDE, SIDE), dtype=bool)
    region[4:9, 4:9], brain[:, 7:] = True, False
    found, result = restored(tmp_path, RAMP + 50, -0.05, region=region, brain=brain)
    wanted = region & brain
    assert np.array_equal(found != RAMP + 50, wanted) and result.changed == wanted.sum() == 15
    assert np.array_equal(result.region[:, :, 0], wanted)
    assert found[wanted] == pytest.approx((RAMP + 40)[wanted], abs=1e-3)


def test_an_edit_that_changes_nothing_says_so(tmp_path):
    _, result = restored(tmp_path, RAMP, 0.0)
    assert result.changed == 0 and "changed no voxel" in result.warnings[0]

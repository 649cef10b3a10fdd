# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a page holds of a case: voxel by voxel what was there, to the level that it says."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from view_cases import AFFINE, LESION, head, small_case

from mededit_monai.reports import view_volumes
from mededit_monai.reports.view_volumes import LEVELS, MARGIN, packed


def image(text: str) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_prior_and_difference_give_the_edit():
    case = small_case()
    found = packed(case)
    prior, steps = image(found["prior"]), found["steps"]
    level = found["top"] / LEVELS
    assert np.abs(prior.get_fdata() - case.prior).max() <= level / 2 + 1e-3 and prior.get_data_dtype() == np.int16
    for step, made in zip(steps, case.steps):
        edit = prior.get_fdata() + image(step["difference"]).get_fdata()
        assert np.abs(edit - made.edit).max() <= level / 2 + 1e-3
        assert np.array_equal(image(step["region"]).get_fdata() > 0, made.region)
        assert np.abs(image(step["displacement"]).get_fdata() - made.displacement).max() <= 8 / 255 / 2 + 1e-3
    assert np.array_equal(image(found["lesion"]).get_fdata() > 0, case.lesion)
    assert (found["bright"], found["top"], found["low"]) == (1000, 1000, 0) and found["change"] == pytest.approx(
        1000, rel=1e-3
    )
    assert [step["name"] for step in steps] == ["strength 0", "strength 0.5", "strength 1"]
    assert all(part.start <= at < part.stop for part, at in zip(LESION, found["start"]))


def test_it_is_cut_to_the_head_and_stays_where_it_is():
    case = small_case(1)
    wide = [np.pad(one, 20) for one in (case.prior, case.lesion, case.steps[0].edit, case.steps[0].region)]
    affine = AFFINE.copy()
    affine[:3, 3] -= 40  # 20 voxels of 2 mm
    step = replace(case.steps[0], edit=wide[2], region=wide[3], displacement=None)
    found = packed(replace(case, prior=wide[0], lesion=wide[1], steps=[step], affine=affine))
    prior = image(found["prior"])
    inside = np.argwhere(head() > 0)
    assert prior.shape == tuple(np.ptp(inside, axis=0) + 1 + 2 * MARGIN) == tuple(found["shape"])
    values = nib.Nifti1Image(head(), AFFINE)
    voxel = np.array([11, 22, 17])
    there = np.rint(apply_affine(np.linalg.inv(prior.affine), apply_affine(values.affine, voxel))).astype(int)
    assert prior.get_fdata()[tuple(there)] == pytest.approx(600, abs=1) and found["steps"][0]["displacement"] is None
    assert image(found["lesion"]).get_fdata()[tuple(there)] == 1
    assert any("Cut to the head" in note for note in found["notes"])


def test_more_voxels_than_the_limit_are_averaged_along_the_finest_axis(monkeypatch):
    case = small_case(1)
    fine = np.diag([1.0, 2.0, 2.0, 1.0])
    monkeypatch.setattr(view_volumes, "MOST_VOXELS", case.prior.size - 1)
    monkeypatch.setattr(view_volumes, "_head", lambda case, _: tuple(slice(0, side) for side in case.prior.shape))
    found = packed(replace(case, affine=fine))
    prior = image(found["prior"])
    assert prior.shape == (20, 48, 36) and np.allclose(np.diag(prior.affine), [2, 2, 2, 1])
    assert prior.affine[0, 3] == 0.5  # the middle of voxels 0 and 1
    pairs = (case.prior[::2] + case.prior[1::2]) / 2
    assert np.abs(prior.get_fdata() - pairs).max() <= 1000 / LEVELS / 2 + 1e-3
    assert any("Coarser than the scan: means over 2 × 1 × 1 voxels" in note for note in found["notes"])


def test_a_few_voxels_that_are_far_too_bright_do_not_take_the_levels():
    case = small_case(1)
    prior = case.prior.copy()
    prior[20, 24, 18] = 1e6
    found = packed(replace(case, prior=prior))
    assert found["top"] == 2000 and image(found["prior"]).get_fdata().max() == pytest.approx(2000)


@pytest.mark.parametrize("prior", [np.zeros((5, 6, 7)), np.full((5, 6, 7), -3.0)])
def test_an_empty_scan_is_shown_too(prior):
    nothing = np.zeros(prior.shape, dtype=bool)
    case = small_case(1)
    step = replace(case.steps[0], edit=prior, region=nothing, displacement=None)
    found = packed(replace(case, prior=prior, lesion=nothing, steps=[step]))
    assert found["shape"] == [5, 6, 7] and np.allclose(image(found["prior"]).get_fdata(), prior, atol=3 / LEVELS)


def test_the_same_case_gives_the_same_bytes():
    assert packed(small_case()) == packed(small_case())

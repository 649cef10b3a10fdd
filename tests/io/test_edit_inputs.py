# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Images in the place of files: what goes along with a scan is a list of them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.edit_inputs import edit_inputs


def image(value: int) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.full((2, 3, 4), value, np.uint8), np.eye(4))


def values(paths) -> list[int]:
    return [int(np.asarray(nib.load(path).dataobj).max()) for path in paths]


def test_images_that_go_along_become_files_of_different_names(tmp_path):
    nib.save(image(7), tmp_path / "seg.nii.gz")
    with edit_inputs({"carry": [image(1), str(tmp_path / "seg.nii.gz"), image(2)], "seed": 3}) as given:
        assert values(given["carry"]) == [1, 7, 2] and given["seed"] == 3
        assert [Path(path).name for path in given["carry"]] == ["carry_0.nii.gz", "seg.nii.gz", "carry_2.nii.gz"]
        assert given["carry"][1] == str(tmp_path / "seg.nii.gz")
    assert not Path(given["carry"][0]).exists()


def test_one_image_or_path_will_do(tmp_path):
    for one in (image(5), str(tmp_path / "seg.nii.gz"), None):
        with edit_inputs({"carry": one}) as given:
            found = given["carry"]
            assert values([found]) == [5] if isinstance(one, nib.Nifti1Image) else found == one


def test_images_that_go_along_in_a_datalist():
    with edit_inputs({"datalist": [{"case_id": "a", "scan": image(1), "carry": [image(2), image(3)]}]}) as given:
        (case,) = given["datalist"]
        assert values([case["scan"]]) == [1] and values(case["carry"]) == [2, 3]


def test_an_array_is_refused():
    said = "--carry: got ndarray, wanted the path of an image or a NIfTI or MGH image"
    with pytest.raises(InputError, match=said), edit_inputs({"carry": [np.zeros((20, 30, 40))]}):
        pass


def test_freesurfer_s_images(tmp_path):
    of_file, own = nib.MGHImage(np.full((2, 3, 4), 6, np.uint8), np.eye(4)), tmp_path / "T1.mgz"
    nib.save(of_file, own)
    with edit_inputs({"scan": nib.load(own), "brain": nib.MGHImage(of_file.dataobj, np.eye(4))}) as given:
        assert (
            given["scan"] == str(own) and Path(given["brain"]).name == "brain.mgz" and values([given["brain"]]) == [6]
        )

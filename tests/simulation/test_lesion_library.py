# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of lesion masks: what is kept, what is left out, what is refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from simulation.small_brains import lesion_masks

from mededit_monai.core.errors import InputError
from mededit_monai.simulation.lesion_library import HEIGHTS, open_library


def write(folder, name: str, mask: np.ndarray, affine: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(mask, affine), folder / name)


def box(shape, low, high, dtype=np.uint8) -> np.ndarray:
    mask = np.zeros(shape, dtype)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = 1
    return mask


def test_mask_comes_back_at_its_place(tmp_path):
    affine = np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = (78, -112, -50)
    write(tmp_path / "m", "one.nii.gz", box((157, 189, 136), (20, 100, 60), (30, 115, 80)), affine)
    library = open_library(tmp_path / "m", tmp_path / "cache")
    mask, origin = library.mask(0)
    assert library.names == ["one"] and mask.shape == (10, 15, 20) and mask.all()
    assert origin.tolist() == [78 - 29, -12, 10]
    assert library.areas[0][np.searchsorted(HEIGHTS, [9, 10, 29, 30])].tolist() == [0, 150, 150, 0]


def test_large_voxels_are_filled(tmp_path):
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-40, -40, -10)
    write(tmp_path / "m", "two.nii", box((40, 40, 30), (10, 10, 10), (14, 15, 16), np.int16), affine)
    library = open_library(tmp_path / "m", tmp_path / "cache")
    mask, _ = library.mask(0)
    assert mask.all() and mask.sum() == 4 * 5 * 6 * 8


def test_outliers_are_left_out_and_the_cache_is_used(tmp_path, monkeypatch):
    affine = np.eye(4)
    affine[:3, 3] = (-70, -100, -20)
    write(tmp_path / "m", "big.nii.gz", box((140, 170, 100), (0, 0, 0), (70, 90, 60)), affine)
    write(tmp_path / "m", "fit.nii.gz", box((140, 170, 100), (20, 50, 30), (30, 60, 40)), affine)
    library = open_library(tmp_path / "m", tmp_path / "cache")
    assert library.names == ["fit"] and "378 ml" in library.excluded["big"]
    monkeypatch.setattr("mededit_monai.simulation.lesion_library._read", None)
    assert open_library(tmp_path / "m", tmp_path / "cache").names == ["fit"]


def test_mask_in_an_unknown_space(tmp_path):
    write(tmp_path / "m", "native.nii.gz", box((256, 256, 180), (150, 150, 100), (170, 170, 120)), np.eye(4))
    with pytest.raises(InputError, match="native.nii.gz: is not in MNI space: 0%.*register it"):
        open_library(tmp_path / "m", tmp_path / "cache")


def test_unusable_masks(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        open_library(tmp_path / "none", tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no NIfTI masks.*leave it out"):
        open_library(tmp_path / "empty", tmp_path / "cache")
    write(tmp_path / "grey", "grey.nii.gz", np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.eye(4))
    with pytest.raises(InputError, match="grey.nii.gz: is not a usable mask"):
        open_library(tmp_path / "grey", tmp_path / "cache")
    write(tmp_path / "zero", "zero.nii.gz", np.zeros((3, 3, 3), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="zero.nii.gz: is empty"):
        open_library(tmp_path / "zero", tmp_path / "cache")


def test_labels_of_a_tumour_come_back(tmp_path):
    """Two planes of bits hold labels 0 to 3; older releases write 4 for 3."""
    affine = np.eye(4)
    affine[:3, 3] = (-40, -40, -10)
    mask = box((60, 60, 40), (10, 10, 10), (16, 20, 16))
    mask[11:15, 12:18, 11:15] = 2
    mask[12:14, 14:16, 12:14] = 4
    write(tmp_path / "m", "tumor.nii.gz", mask, affine)
    write(tmp_path / "m", "binary.nii.gz", box((60, 60, 40), (30, 30, 10), (36, 40, 16)), affine)
    library = open_library(tmp_path / "m", tmp_path / "cache")
    assert library.names == ["binary", "tumor"] and library.labelled.tolist() == [False, True]
    found, origin = library.mask(1)
    assert origin.tolist() == [-30, -30, 0]
    assert np.array_equal(found, np.minimum(mask[10:16, 10:20, 10:16], 3))
    assert library.mask(0)[0].max() == 1 and library.areas[1].max() == 60


def test_ten_small_lesions(tmp_path):
    library = open_library(lesion_masks(tmp_path / "m"), tmp_path / "cache")
    assert len(library.names) == 10 and (library.areas.max(axis=1) > 60).all()

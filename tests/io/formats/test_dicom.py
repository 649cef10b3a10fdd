# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of DICOM: one series is read where it lies, everything else is refused with a word."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from image_files import AFFINES, turned, voxels, write_dicom

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.registry import files_of, image_sha256, is_there
from mededit_monai.io.nifti import NativeCopy, read_volume


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        read_volume(folder)
    assert all(word in str(caught.value) for word in (str(folder), *words)), str(caught.value)


@pytest.mark.parametrize("affine", [AFFINES["straight"], AFFINES["oblique"], turned(200.0)], ids=str)
def test_one_series(tmp_path, affine):
    folder = write_dicom(tmp_path / "T1", voxels(), affine)
    (folder / "notes.txt").write_text("no image")
    volume = read_volume(folder)
    # GDCM sorts slices along the normal of their first two axes.
    assert np.allclose(volume.native_affine, affine, atol=1e-3) and volume.warnings == ()
    assert np.array_equal(NativeCopy(volume).native_volume(), voxels())
    assert volume.copy_name == "T1.nii.gz" and "DICOM is not written" in volume.format_warnings[0]
    NativeCopy(volume).save(tmp_path / "copy.nii.gz")
    copy = read_volume(tmp_path / "copy.nii.gz")
    assert copy.warnings == () and np.array_equal(copy.native_affine, volume.native_affine)
    assert copy.synthetic and NativeCopy(copy).native_volume().dtype == np.float32


def test_slices_against_the_normal_are_turned_around(tmp_path):
    affine = AFFINES["left-handed"]
    volume = read_volume(write_dicom(tmp_path / "T1", voxels(), affine))
    place = np.linalg.solve(volume.native_affine, affine @ [1, 2, 3, 1])[:3]
    assert NativeCopy(volume).native_volume()[tuple(np.rint(place).astype(int))] == voxels()[1, 2, 3]
    assert np.linalg.det(volume.native_affine[:3, :3]) * np.linalg.det(affine[:3, :3]) < 0


def test_several_series_are_listed(tmp_path):
    folder = write_dicom(tmp_path / "all", voxels(), AFFINES["straight"])
    write_dicom(folder, voxels()[:, :, :2], AFFINES["straight"], uid="1.2.3.5", description="FLAIR", start="other")
    refused(
        folder,
        "2 DICOM series, wanted one",
        "'T1 mprage' (number 4, 6 files, from slice_00.dcm)",
        "'FLAIR'",
        "dcm2niix",
    )


def test_echoes_are_series_of_their_own(tmp_path):
    folder = write_dicom(tmp_path / "all", voxels(), AFFINES["straight"], echo="1")
    write_dicom(folder, voxels(), AFFINES["straight"], echo="2", start="second")
    refused(folder, "2 DICOM series", "echo 1", "echo 2")


def test_a_slice_is_missing(tmp_path):
    folder = write_dicom(tmp_path / "T1", voxels(), AFFINES["straight"])
    (folder / "slice_03.dcm").unlink()
    refused(folder, "not evenly spaced", "number 2 and the next are 6 mm apart, most are 3 mm", "dcm2niix")


def test_a_tilted_gantry(tmp_path):
    affine = AFFINES["straight"].copy()
    folder = write_dicom(tmp_path / "T1", voxels()[:, :, :1], affine)
    for k in range(1, 4):
        affine[:3, 3] += 0, 0.5, 3
        write_dicom(folder, voxels()[:, :, k : k + 1], affine, start=f"more{k}")
    refused(folder, "not straight above each other (a tilted gantry)")


def test_several_volumes_in_a_series(tmp_path):
    folder = write_dicom(tmp_path / "T1", voxels(), AFFINES["straight"])
    write_dicom(folder, voxels(), AFFINES["straight"], start="again")
    refused(folder, "not evenly spaced", "several volumes")


def test_damaged_files(tmp_path):
    folder = write_dicom(tmp_path / "T1", voxels(), AFFINES["straight"])
    one = folder / "slice_03.dcm"
    whole = one.read_bytes()
    one.write_bytes(whole[:-30])
    refused(folder, "dcm2niix")
    one.write_bytes(whole[:200])
    refused(folder, "dcm2niix")


def test_a_damaged_end_is_not_passed_over_in_silence(tmp_path):
    folder = write_dicom(tmp_path / "T1", voxels(), AFFINES["straight"])
    last = folder / "slice_05.dcm"
    last.write_bytes(last.read_bytes()[:160])
    volume = read_volume(folder)
    assert volume.native_shape == (4, 5, 5)
    assert volume.warnings == ("T1: 1 of its DICOM files hold no image (slice_05.dcm).",)


def test_other_folders(tmp_path):
    refused(tmp_path, "is a folder, wanted a file")
    folder = write_dicom(tmp_path / "deep" / "T1", voxels(), AFFINES["straight"])
    refused(tmp_path / "deep", "is a folder, wanted a file")
    assert is_there(folder) and not is_there(tmp_path / "deep")


def test_the_digest_is_of_its_dicom_files(tmp_path):
    folder = write_dicom(tmp_path / "T1", voxels(), AFFINES["straight"])
    before = image_sha256(folder)
    (folder / "notes.txt").write_text("no image")
    (folder / "results").mkdir()
    assert image_sha256(folder) == before and len(files_of(folder)) == 6
    shutil.copy(folder / "slice_00.dcm", folder / "slice_00_copy.dcm")
    assert image_sha256(folder) != before

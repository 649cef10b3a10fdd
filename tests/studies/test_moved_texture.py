# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Texture of an edit that was made by hand: tissue that was copied is as sharp as it was, in any orientation."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.displacement import write_displacement
from studies.moved_texture import markdown, texture_of_edit

SHAPE, AFFINES = (36, 34, 30), {
    "RAS, 2 mm": np.diag([2.0, 2, 2, 1]),
    "LPS, 1 x 1 x 3 mm": np.diag([-1.0, -1, 3, 1]),
    "axes exchanged": np.array([[0, 2.0, 0, 5], [1.5, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]),
}


def make_edit(folder: Path, affine: np.ndarray, soft: bool = False) -> tuple[Path, Path, Path]:
    """The block in the middle is taken from two voxels further along the first axis; ``soft``: and blurred."""
    rng = np.random.default_rng(0)
    scan, lesion, steps = 100 + 10 * rng.standard_normal(SHAPE), np.zeros(SHAPE), np.zeros((3, *SHAPE))
    block = (slice(8, 26), slice(8, 26), slice(6, 24))
    steps[(0, *block)] = 2.0
    edited = scan.copy()
    shifted = np.roll(scan, -2, axis=0)
    edited[block] = (ndimage.gaussian_filter(shifted, 0.6) if soft else shifted)[block]
    lesion[9:11, 9:11, 7:9] = 1
    edited[7:13, 7:13, 5:11] = 0  # painted: none of it counts
    folder.mkdir()
    for name, array in (("scan", scan), ("lesion", lesion), ("edited", edited)):
        nib.save(nib.Nifti1Image(array.astype(np.float32), affine), folder / f"{name}.nii.gz")
    world = np.tensordot(affine[:3, :3], steps, axes=1)
    write_displacement(folder / "displacement.nii.gz", world, affine)
    return folder / "scan.nii.gz", folder / "lesion.nii.gz", folder


@pytest.mark.parametrize("affine", AFFINES.values(), ids=list(AFFINES))
def test_copied_tissue_has_its_texture_and_blurred_tissue_has_less(tmp_path, affine):
    sharp = texture_of_edit(*make_edit(tmp_path / "sharp", affine), pixel_mm=3.0)
    assert sharp["texture"] == pytest.approx(1, abs=0.03)
    assert sharp["largest_mm"] == pytest.approx(2 * np.linalg.norm(affine[:3, 0]), rel=1e-5)
    soft = texture_of_edit(*make_edit(tmp_path / "soft", affine, soft=True), pixel_mm=3.0)
    assert soft["texture"] < 0.6 and soft["moved_ml"] == sharp["moved_ml"] > 0


def test_an_edit_that_displaced_nothing(tmp_path):
    scan, lesion, folder = make_edit(tmp_path / "edit", AFFINES["RAS, 2 mm"])
    (folder / "displacement.nii.gz").unlink()
    with pytest.raises(InputError, match="displacement.nii.gz: not found; edit the scan with --effects 1"):
        texture_of_edit(scan, lesion, folder, 2.0)
    write_displacement(folder / "displacement.nii.gz", np.zeros((3, *SHAPE)), AFFINES["RAS, 2 mm"])
    assert texture_of_edit(scan, lesion, folder, 2.0)["texture"] is None


def test_the_table_says_what_was_missed():
    one = {"voxels_mm": [1.0, 1.0, 1.0], "moved_ml": 100.0, "largest_mm": 3.0}
    rows = [{"scan": name, "texture": value, **one} for name, value in (("a", 0.97), ("b", 0.9), ("c", None))]
    text = markdown({"bundle": "stroke", "note": "n", "scans": rows})
    assert "| a | 1 x 1 x 1 | 100.0 | 3.0 | 0.970 | met |" in text
    assert "| 0.900 | **missed** |" in text and "| c | 1 x 1 x 1 | 100.0 | 3.0 | – |  |" in text

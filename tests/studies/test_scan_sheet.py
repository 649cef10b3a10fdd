# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from PIL import Image

from mededit_monai.core.errors import InputError
from studies.scan_sheet import edit_scans, save_sheet_of_previews


@pytest.mark.slow
def test_every_scan_of_a_folder(tmp_path):
    for name, axcodes in (("a", "RAS"), ("b", "LIA")):
        head = write_head(tmp_path / name, axcodes)
        (tmp_path / "scans").mkdir(exist_ok=True)
        shutil.copy(head.scan, tmp_path / "scans" / f"{name}.nii.gz")
        shutil.copy(head.brain, tmp_path / "scans" / f"{name}_brain.nii.gz")
    folders = edit_scans(tmp_path / "scans", tmp_path / "out", "stroke", spatial_dims=2, steps=3, resample=1)
    assert [folder.name for folder in folders] == ["a", "b"]
    for folder in folders:
        scan, edited = nib.load(tmp_path / "scans" / f"{folder.name}.nii.gz"), nib.load(folder / "edited.nii.gz")
        assert np.array_equal(scan.affine, edited.affine) and (scan.get_fdata() != edited.get_fdata()).any()
    heights = [Image.open(folder / "preview.png").height for folder in folders]
    assert Image.open(tmp_path / "out" / "sheet.png").height == sum(heights)


def test_nothing_to_show(tmp_path):
    with pytest.raises(InputError, match="there is no preview to show"):
        save_sheet_of_previews([], tmp_path / "sheet.png")

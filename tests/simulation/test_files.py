# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an image is whole, by the size that its header promises."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.whole import has_all_voxels, is_whole, nifti_size


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shape, dtype", [((7, 5, 3), "u1"), ((7, 5, 1, 1, 3), "f4"), ((4, 4), "i2")])
def test_one_byte_less_is_not_whole(tmp_path, kind, order, shape, dtype):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(dtype)
    path = tmp_path / "a.nii"
    nib.save(kind(np.ones(shape, dtype), np.eye(4), header), path)
    content = path.read_bytes()
    assert nifti_size(content) == len(content) and has_all_voxels(path) and is_whole(path)
    path.write_bytes(content[:-1])
    assert not has_all_voxels(path) and not is_whole(path)
    path.write_bytes(content + b"\0")  # something behind the end harms no voxel
    assert has_all_voxels(path)


@pytest.mark.parametrize("content", [b"", bytes(5000), b"\x5c\x01\0\0", b"\x5c\x01\0\0" + b"\xff" * 500])
def test_no_images(tmp_path, content):
    (tmp_path / "a.nii").write_bytes(content)
    assert not has_all_voxels(tmp_path / "a.nii") or content[5:6] == b"\xff"
    assert not has_all_voxels(tmp_path / "none.nii") and not has_all_voxels(tmp_path)


def test_only_what_is_half_written_goes(tmp_path):
    mine = (".unfinished", "a.unfinished", ".0123abcd.unfinished", ".0123ABCD.unfinished.a", ".a.0123abcd.old", "a.nii")
    ours = (".0123abcd.unfinished.a.nii", ".00ff00ff.unfinished.parameters.json")
    for name in (*mine, *ours):
        (tmp_path / name).write_text("x")
    (tmp_path / ".case.0123abcd.unfinished").mkdir()
    (tmp_path / ".case.0123abcd.unfinished" / "image.nii").write_text("x")
    remove_unfinished(tmp_path)
    assert {p.name for p in Path(tmp_path).iterdir()} == set(mine)
    remove_unfinished(tmp_path / "none")

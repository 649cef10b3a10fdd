# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A NIfTI header that names other voxels than the file holds is refused in a sentence, wherever it is read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from promises.verbs import mededit  # noqa: F401

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import read_array, read_volume

#: Where fields lie in a header, and of what kind they are: NIfTI-1, NIfTI-2.
FIELDS = {
    "vox_offset": ((108, "f"), (168, "q")),
    "dim1": ((42, "h"), (24, "q")),
    "dim3": ((46, "h"), (40, "q")),
    "scl_inter": ((116, "f"), (184, "d")),
    "srow_x0": ((280, "f"), (400, "d")),
}
NAN, INF = float("nan"), float("inf")


def damaged(path: Path, second: bool, field: str, value: float) -> Path:
    """A file of 4x5x6 voxels of which one field of the header holds another value."""
    kind = nib.Nifti2Image if second else nib.Nifti1Image
    raw = bytearray(kind(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4)).to_bytes())
    offset, letter = FIELDS[field][second]
    struct.pack_into(f"<{letter}", raw, offset, value if letter in "fd" else int(value))
    path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
    return path


CASES = [
    (False, "vox_offset", 1e30, "is truncated or damaged (592 bytes, and by its header 1.00000001504747e+30: "),
    (False, "vox_offset", 354.0, "is truncated or damaged (592 bytes, and by its header 594: from byte 354 on 4x5x6 "),
    (True, "vox_offset", 2**62, "is truncated or damaged (784 bytes, and by its header 4.61168601842739e+18: "),
    (False, "vox_offset", NAN, "cannot be read as NIfTI"),
    (False, "vox_offset", -INF, "cannot be read as NIfTI"),
    (False, "dim1", 0, "is truncated or damaged (its header gives it the shape (0, 5, 6), wanted at least one voxel "),
    (False, "dim3", -6, "is truncated or damaged (its header gives it the shape (4, 5, -6), wanted at least one "),
    (False, "dim3", 7, "is truncated or damaged (592 bytes, and by its header 632: from byte 352 on 4x5x7 voxels of 2"),
    (True, "dim1", 2**40, "is truncated or damaged (784 bytes, and by its header 65970697667104: "),  # no memory for it
    (True, "dim3", 2**62, "is truncated or damaged (784 bytes, and by its header 1.84467440737096e+20: "),
    (False, "scl_inter", NAN, "cannot be read as NIfTI"),
]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("second, field, value, said", CASES, ids=lambda one: str(one)[:12])
def test_a_header_that_cannot_be_is_refused(tmp_path, second, field, value, said, ending):
    path = damaged(tmp_path / f"odd{ending}", second, field, value)
    for read in (read_volume, read_array):
        with pytest.raises(InputError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: {said}")


def test_a_side_of_ten_thousand_times_itself_asks_for_no_memory(tmp_path):
    path = tmp_path / "huge.nii"
    raw = bytearray(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<4h", raw, 40, 3, 32767, 32767, 32767)
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="on 32767x32767x32767 voxels of 2"):
        read_volume(path)


@pytest.mark.parametrize("field, value", [("vox_offset", 1e30), ("dim1", 0), ("srow_x0", NAN), ("srow_x0", 1e30)])
@pytest.mark.parametrize("verb", ["info", "edit", "prepare"])
def test_the_verbs_end_with_a_sentence(tmp_path, mededit, verb, field, value):  # noqa: F811
    """Exit code 2; where a header can be described, info does, and says that it is refused."""
    head = write_head(tmp_path / "head", shape=(40, 44, 12), spacing=(4.0, 4.0, 8.0))
    scan = tmp_path / "scan.nii"
    raw = bytearray(gzip.decompress(head.scan.read_bytes()))
    offset, letter = FIELDS[field][0]
    struct.pack_into(f"<{letter}", raw, offset, value)
    scan.write_bytes(bytes(raw))
    ways = {
        "info": (scan,),
        "edit": ("--scan", scan, "--pathology", head.pathology, "--brain", head.brain, "-o", tmp_path / "out"),
        "prepare": ("--scan", scan, "--brain", head.brain, "-o", tmp_path / "out"),
    }
    ended = mededit(verb, *ways[verb])
    described = verb == "info" and field.startswith("srow")
    assert (ended.code == 0 and "unusable affine" in ended.out) if described else ended.refused("scan.nii: ")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.nii*"))

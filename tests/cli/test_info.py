# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit info`: JSON that is JSON, and bundles that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from promises.verbs import mededit  # noqa: F401

#: Where a NIfTI header keeps the length of a voxel along x, four bytes.
PIXDIM_X = 80


def no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def test_json_without_nan(mededit, tmp_path):  # noqa: F811
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6), np.float32), None), tmp_path / "scan.nii")  # no affine: pixdim alone
    content = bytearray((tmp_path / "scan.nii").read_bytes())
    content[PIXDIM_X : PIXDIM_X + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "scan.nii").write_bytes(content)
    done = mededit("info", tmp_path / "scan.nii", "--json")
    assert done.code == 0, done.err
    json.loads(done.out, parse_constant=no_constant)
    assert "null" in done.out


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"3", b'{"version": "1"}', b"\xff\xfe"])
def test_a_bundle_whose_metadata_is_damaged(mededit, tmp_path, content):  # noqa: F811
    configs = tmp_path / "own" / "configs"
    configs.mkdir(parents=True)
    Path(configs, "inference.yaml").write_text("{}")
    if content is not None:
        Path(configs, "metadata.json").write_bytes(content)
    done = mededit("info", "--bundle", tmp_path / "own")
    assert done.code == 2 and done.err.count("\n") == 1 and "metadata.json: cannot be read" in done.err, done.err

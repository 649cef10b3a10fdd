# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
FreeSurfer's .mgz and .mgh. The geometry is nibabel's reading of the header: direction cosines, voxel sizes and the RAS
point of voxel (n/2, n/2, n/2). The format has no field for text, so a copy cannot say that it is synthetic.
"""

from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.directions import axis_names
from mededit_monai.io.formats.registry import CONVERT, FORMATS, Format, Stored, as_nifti, voxel_bytes

#: Where the voxels begin, and where the header has the number of volumes (a big-endian int32).
_START, _FRAMES = 284, slice(16, 20)

#: Directions of the axes, a row each, where the header has none: left, down, forward, as FreeSurfer takes it. nibabel
#: has the same matrix transposed.
_CORONAL = ((-1, 0, 0), (0, 0, -1), (0, 1, 0))

_VERSION = (1).to_bytes(4, "big")


def _holds(path: Path, content: bytes) -> bool:
    return content[:4] == _VERSION or path.name.lower().endswith((".mgz", ".mgh"))


def _read(path: Path, content: bytes) -> Stored:
    if content[:4] != _VERSION or len(content) < _START:
        raise InputError(f"{path}: is no FreeSurfer MGH file, or is cut short; copy it again, or {CONVERT}.")
    fields = np.frombuffer(content, nib.freesurfer.mghformat.header_dtype.newbyteorder(">"), 1)[0]
    shape = tuple(int(n) for n in fields["dims"])
    try:
        code = nib.freesurfer.mghformat.data_type_codes.dtype[int(fields["type"])]
    except KeyError:
        code = None
    if code is None:
        raise InputError(f"{path}: holds voxels of type {int(fields['type'])}, wanted plain numbers; {CONVERT}.")
    dtype = np.dtype(code).newbyteorder(">")
    count = voxel_bytes(shape, dtype)
    if count == 0 or len(content) < _START + count:  # before nibabel reckons in numbers that overflow
        as_nifti(path, content[_START:], shape, dtype, np.eye(4))
    header = nib.freesurfer.MGHImage.header_class.from_fileobj(io.BytesIO(content))
    warnings: tuple[str, ...] = ()
    if not fields["goodRASFlag"]:
        header["Mdc"] = _CORONAL
        read = axis_names(header.get_affine())
        warnings = (
            f"{path.name}: does not say which way its axes point (its RAS flag is 0); they were read as {read}, as "
            f"FreeSurfer does, so left and right are a guess. Compare with the scanner's image.",
        )
    voxels = content[_START : _START + count]
    nifti = as_nifti(
        path, voxels, shape[: 4 if shape[3] > 1 else 3], dtype, np.asarray(header.get_affine(), dtype=np.float64)
    )
    head = bytearray(content[:_START])
    head[_FRAMES] = (1).to_bytes(4, "big")
    return Stored(nifti, warnings, head=bytes(head), tail=content[_START + count :])


def _write(head: bytes, tail: bytes, voxels: bytes, note: str) -> bytes:
    return head + voxels + tail


FORMATS.add("mgh", Format("FreeSurfer MGH", (".mgz", ".mgh"), _holds, _read, _write))

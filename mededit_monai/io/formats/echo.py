# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""One volume of several: echoes, time points, channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.nifti import parse_nifti


def one_volume(path: Path, nifti: bytes, echo: int | None = None, by_option: bool = False) -> tuple[bytes, str | None]:
    """
    A 3-D NIfTI image of one that may hold several volumes along its fourth axis.

    Args:
        path: of the file, for sentences.
        nifti: content of a .nii file.
        echo: index of the volume along the fourth axis, from 0; None: there is only one.
        by_option: whether whoever asks can be told to give ``--echo``.

    Returns:
        the same content where there is one volume; else the one chosen, its header changed in the number of axes alone,
        and a warning.

    Raises:
        InputError: several volumes and none chosen, one chosen and no others, no such volume, more than four axes.
    """
    image = parse_nifti(path, nifti)
    shape = tuple(int(n) for n in image.shape)
    if len(shape) < 2 or any(n != 1 for n in shape[4:]):
        raise InputError(
            f"{path}: has {len(shape)} dimensions {shape}, wanted one 3-D image; save a single volume of it, for "
            f"example with nibabel's image.slicer[..., 0]."
        )
    count = shape[3] if len(shape) > 3 else 1
    if count == 1:
        if echo is not None:
            raise InputError(f"--echo: got {echo}, but {path} holds one volume {shape}; leave it out.")
        return nifti, None
    if echo is None:
        way = f"choose one with --echo, from 0 to {count - 1}, or " if by_option else ""
        raise InputError(
            f"{path}: has 4 dimensions {shape}, which are {count} volumes along the fourth axis, wanted one; {way}save "
            f"a single volume of it, for example with nibabel's image.slicer[..., 0]."
        )
    if not 0 <= echo < count:
        raise InputError(
            f"--echo: got {echo}, but {path} holds {count} volumes; wanted its index along the fourth axis, from 0 to "
            f"{count - 1}."
        )
    size = image.header.sizeof_hdr
    header = type(image.header)(nifti[:size], check=False)
    header["dim"][0], header["dim"][4:] = 3, 1
    length = int(np.prod(shape[:3], dtype=object)) * image.get_data_dtype().itemsize
    begin = int(image.dataobj.offset)
    voxels = nifti[begin + echo * length : begin + (echo + 1) * length]
    warning = f"{path.name}: holds {count} volumes; number {echo} (from 0) was taken, and is written as a 3-D image."
    return bytes(header.binaryblock) + nifti[size:begin] + voxels, warning

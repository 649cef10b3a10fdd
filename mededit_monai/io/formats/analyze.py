# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Analyze 7.5, .hdr and .img, through nibabel: read with a warning, since the format does not say which side is left.

Most programs took the first axis to run to the patient's left, and so does nibabel. A copy becomes NIfTI, whose header
leaves the same open, unless SPM's origin or .mat file puts the image somewhere.
"""

from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.directions import axis_names
from mededit_monai.io.formats.nifti_pair import PAIR_ENDINGS, pair_files, pair_header
from mededit_monai.io.formats.registry import CONVERT, FORMATS, Format, Stored, as_nifti, voxel_bytes
from mededit_monai.io.whole import read_whole

#: Where the header says how the slices lie; 0 is axial, as are nearly all files.
_ORIENT = 252


def _holds(path: Path, content: bytes) -> bool:
    return path.name.lower().endswith(PAIR_ENDINGS)


def _read(path: Path, content: bytes) -> Stored:
    head, files = pair_header(path, content), pair_files(path)
    if len(head) < 348 or not nib.Spm2AnalyzeImage.header_class.may_contain_header(head[:348]):
        raise InputError(f"{path}: is no Analyze or NIfTI header; copy it again, or {CONVERT}.")
    if head[_ORIENT] != 0:
        raise InputError(
            f"{path}: says that its slices do not lie as usual (orient is {head[_ORIENT]}, wanted 0, axial), which "
            f"programs read in different ways; {CONVERT}."
        )
    parts = {"header": head, "image": read_whole(files[1])}
    parts |= {"mat": files[2].read_bytes() if len(files) > 2 else b""}
    holders = {name: nib.FileHolder(fileobj=io.BytesIO(part)) for name, part in parts.items()}
    image = nib.Spm2AnalyzeImage.from_file_map(holders)
    dtype, proxy = image.get_data_dtype(), image.dataobj
    shape = image.shape[:3] + tuple(n for n in image.shape[3:] if n > 1)
    if dtype.fields is not None or dtype.kind not in "iuf" or not 3 <= len(shape) <= 4:
        raise InputError(
            f"{path}: holds {image.shape} voxels of {dtype}, wanted a 3-D image of plain numbers; {CONVERT}."
        )
    voxels = parts["image"][int(proxy.offset) :][: voxel_bytes(shape, dtype)]
    affine = np.asarray(image.affine, dtype=np.float64)
    known = not np.allclose(affine, image.header.get_base_affine())  # by SPM's origin or .mat
    nifti = as_nifti(path, voxels, shape, dtype, affine, known, (float(proxy.slope), float(proxy.inter)))
    read = axis_names(affine)
    source = f"SPM's {files[2].name}" if len(files) > 2 else "custom"
    return Stored(
        nifti,
        (
            f"{path.name}: is an Analyze file, which does not say which side is left; by {source} it was read as "
            f"{read}, so left and right are a guess. Compare with the scanner's image, or convert the original again.",
        ),
    )


FORMATS.add("analyze", Format("Analyze", PAIR_ENDINGS, _holds, _read, files=pair_files))

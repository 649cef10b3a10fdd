# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI in two files, .hdr and .img: read as one; a copy is one file too."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.detached import counterpart
from mededit_monai.io.formats.registry import FORMATS, Format, Stored
from mededit_monai.io.whole import read_whole

#: Of the header and of the voxels' file, compressed or not.
PAIR_ENDINGS = (".hdr", ".img", ".hdr.gz", ".img.gz")


def pair_files(path: Path) -> list[Path]:
    """
    The header, the voxels' file and, of Analyze where there is one, SPM's file with the orientation.

    Raises:
        InputError: one of the first two is missing.
    """
    header, image = counterpart(path, ".hdr"), counterpart(path, ".img")
    mat = header.with_name(re.sub(r"(?i)\.hdr(\.gz)?\Z", ".mat", header.name))
    return [header, image, *([mat] if mat.is_file() else [])]


def pair_header(path: Path, content: bytes) -> bytes:
    """The header's content, whichever of a pair was opened."""
    is_image = path.name.lower().endswith((".img", ".img.gz"))
    return read_whole(counterpart(path, ".hdr")) if is_image else content


def _kind(header: bytes) -> type[nib.Nifti1Pair] | None:
    for kind in (nib.Nifti1Pair, nib.Nifti2Pair):
        if len(header) >= kind.header_class.sizeof_hdr and kind.header_class.may_contain_header(header):
            return kind
    return None


def _holds(path: Path, content: bytes) -> bool:
    return path.name.lower().endswith(PAIR_ENDINGS) and _kind(pair_header(path, content)) is not None


def _read(path: Path, content: bytes) -> Stored:
    head = pair_header(path, content)
    kind = _kind(head)
    assert kind is not None, "asked before"
    size = kind.header_class.sizeof_hdr
    image = read_whole(counterpart(path, ".img"))
    header = kind.header_class(head[:size], check=False)
    begin = int(header["vox_offset"])
    if not 0 <= begin <= len(image):
        raise InputError(f"{path}: says that its voxels begin at byte {begin} of {len(image)}; copy it again.")
    single = nib.Nifti1Image if size == nib.Nifti1Header.sizeof_hdr else nib.Nifti2Image
    magic = single.header_class()["magic"].item()
    extensions = head[size:] if len(head) >= size + 4 else bytes(4)
    extensions += bytes(-(size + len(extensions)) % 16)
    header["magic"], header["vox_offset"] = magic, size + len(extensions)
    return Stored(bytes(header.binaryblock) + extensions + image[begin:])


FORMATS.add("nifti_pair", Format("a pair of NIfTI files", PAIR_ENDINGS, _holds, _read, files=pair_files))

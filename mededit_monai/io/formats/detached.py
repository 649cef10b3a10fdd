# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Files in two parts: a header, and voxels in a file beside it."""

from __future__ import annotations

import bz2
import os
import zlib
from pathlib import Path, PurePosixPath

from mededit_monai.core.errors import InputError


def voxel_file(header: Path, name: str) -> Path:
    """
    The file with the voxels that a header names.

    Raises:
        InputError: it lies outside the header's folder, to which no header has a reason to point, or is not there.
    """
    plain = PurePosixPath(name.replace("\\", "/"))
    if not name or plain.is_absolute() or ".." in plain.parts or ":" in name or "\0" in name:
        raise InputError(f"{header}: names the voxels' file '{name}', wanted one in its own folder; put it there.")
    place = header.parent / plain
    if not place.is_file():
        raise InputError(f"{header}: its voxels are in {place}, which is not there; keep both files together.")
    return place


def counterpart(path: Path, ending: str) -> Path:
    """
    Of a pair of files, the one with an ending (``.hdr`` or ``.img``), by the name of either; compressed or not, in
    capitals where the other is.

    Raises:
        InputError: it is not there.
    """
    name, packed = (path.name[:-3], ".gz") if path.name.lower().endswith(".gz") else (path.name, "")
    start, old = os.path.splitext(name)
    wanted = ending.upper() if old.isupper() else ending
    for candidate in dict.fromkeys((start + wanted + packed, start + wanted, start + wanted + ".gz")):
        place = path.with_name(candidate)
        if place.is_file():
            return place
    raise InputError(
        f"{path}: goes with {start + wanted}, which is not there; keep both files of the pair together, or convert "
        f"them to one .nii.gz."
    )


def inflated(path: Path, content: bytes, size: int, kind: str = "gzip") -> bytes:
    """
    Voxels that are compressed, of which there should be so many bytes.

    Args:
        kind: ``gzip`` or ``zlib``, which are told apart by themselves, or ``bzip2``.

    Raises:
        InputError: damaged or cut short. More than the expected size is not decompressed.
    """
    machine = bz2.BZ2Decompressor() if kind == "bzip2" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        found = machine.decompress(content, size + 1)
    except (OSError, ValueError, OverflowError, zlib.error) as error:
        raise InputError(f"{path}: is truncated or damaged ({str(error)[:120]}); copy or download it again.") from error
    if len(found) <= size and not machine.eof:  # the checksum lies behind the last byte
        raise InputError(f"{path}: is truncated or damaged (its compressed data end early); copy or download it again.")
    return found

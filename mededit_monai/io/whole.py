# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a file is whole: compressed data is read to its checksum, which readers of images do not do."""

from __future__ import annotations

import gzip
import json
import math
import struct
import zlib
from pathlib import Path

from mededit_monai.core.errors import InputError

GZIP = b"\x1f\x8b"
_PNG_END = b"IEND\xaeB`\x82"

#: Bytes of a NIfTI header; NIfTI-2 has the longer one.
_HEAD = 540


def read_whole(path: str | Path) -> bytes:
    """
    A file's content, decompressed if it is gzip, whatever its name.

    nibabel stops reading where the voxels end, before the checksum: a flipped bit in a mask is still a mask.

    Raises:
        InputError: absent, a folder, cut short, damaged, or with something behind its end.
        OSError: no permission, a disk that cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, wanted a file; give the file in it.")
    if not path.exists():
        raise InputError(f"{path}: not found; check the path.")
    raw = path.read_bytes()
    if not raw:
        raise InputError(f"{path}: is empty (0 bytes); copy or download it again.")
    if raw[:2] != GZIP:
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise InputError(
            f"{path}: is truncated or damaged (its compressed data end early); copy or download it again."
        ) from error
    except (OSError, zlib.error, ValueError) as error:
        why = str(error).split("\n")[0][:120]
        raise InputError(f"{path}: is truncated or damaged ({why}); copy or download it again.") from error


def is_whole(path: Path) -> bool:
    """Whether a file is there and, as far as its kind tells (gzip, NIfTI, JSON, PNG), complete."""
    name = path.name.lower()
    try:
        raw = path.read_bytes()
        if raw[:2] == GZIP:
            raw = gzip.decompress(raw)
        elif name.endswith(".gz"):
            return False
        if name.endswith(".json"):
            json.loads(raw)
        elif name.endswith(".png"):
            return raw.rstrip().endswith(_PNG_END)
        elif name.endswith((".nii", ".nii.gz")):
            return any(raw[:4]) and len(raw) >= nifti_size(raw)
    except (OSError, EOFError, zlib.error, ValueError):
        return False
    return bool(raw)


def has_all_voxels(path: Path) -> bool:
    """The same for an uncompressed NIfTI file, by its header and size alone: thousands a second."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
        return any(head[:4]) and path.stat().st_size >= nifti_size(head)
    except OSError:
        return False


def nifti_size(head: bytes) -> int:
    """Bytes that an uncompressed NIfTI file has at least, by its first 540; of what is no NIfTI, 1."""
    for order in "<>":
        if head[:4] in (struct.pack(f"{order}i", 348), struct.pack(f"{order}i", 540)):
            break
    else:
        return 1
    if len(head) < 348:
        return 348
    if head[:4] == struct.pack(f"{order}i", 348):
        dims, bits = struct.unpack_from(f"{order}8h", head, 40), struct.unpack_from(f"{order}h", head, 72)[0]
        start = struct.unpack_from(f"{order}f", head, 108)[0]
    else:
        dims, bits = struct.unpack_from(f"{order}8q", head, 16), struct.unpack_from(f"{order}h", head, 14)[0]
        start = struct.unpack_from(f"{order}q", head, 168)[0]
    voxels = math.prod(max(n, 1) for n in dims[1 : 1 + min(max(dims[0], 0), 7)])
    return (int(start) if math.isfinite(start) else 0) + voxels * max(bits, 0) // 8

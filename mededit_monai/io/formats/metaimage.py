# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
MetaImage, as ITK writes it: .mha, and .mhd with the voxels beside it (https://itk.org/Wiki/MetaIO/Documentation).

The header is lines of text, read here for the reasons for which NRRD's is. Directions are LPS; the first three numbers
of ``TransformMatrix`` are the direction of the first axis.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.detached import inflated, voxel_file
from mededit_monai.io.formats.registry import (
    CONVERT,
    FORMATS,
    Format,
    Stored,
    as_nifti,
    lps_to_ras,
    volumes_last,
    voxel_bytes,
)
from mededit_monai.io.whole import read_whole

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

#: Names of one field, of which newer versions write the first.
_SAME = {"position": "offset", "origin": "offset", "rotation": "transformmatrix", "orientation": "transformmatrix"}
_SAME |= {"elementbyteordermsb": "binarydatabyteordermsb"}

#: What a copy has anew, or in another way.
_DROPPED = ("comment", "ndims", "dimsize", "elementspacing", "elementsize", "offset", "transformmatrix")
_DROPPED += ("centerofrotation", "anatomicalorientation", "compresseddatasize", "headersize", "elementdatafile")
_DROPPED += ("elementnumberofchannels", "elementmin", "elementmax")

#: The last field; behind it the voxels begin, if they are in the same file.
_LAST = re.compile(rb"(?mi)^ElementDataFile\s*=\s*(.*?)\s*?(\n|\Z)")


def _holds(path: Path, content: bytes) -> bool:
    return content.startswith(b"ObjectType") or path.name.lower().endswith((".mha", ".mhd"))


def _parse(path: Path, content: bytes) -> tuple[list[tuple[str, str, str]], dict[str, str], int]:
    """Lines (name, field, value), values by field, and where the header ends."""
    last = _LAST.search(content)
    if last is None:
        raise InputError(f"{path}: is no MetaImage, or its header is cut short (no ElementDataFile); copy it again.")
    lines = []
    for line in content[: last.end()].decode("utf-8", "surrogateescape").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            field = name.strip().lower()
            lines.append((name.strip(), _SAME.get(field, field), value.strip()))
    fields = {field: value for _, field, value in lines}
    for name in ("NDims", "DimSize", "ElementType"):
        if name.lower() not in fields:
            raise InputError(f"{path}: has no field '{name}' in its header; copy it again, or {CONVERT}.")
    return lines, fields, last.end()


def _numbers(path: Path, fields: dict[str, str], name: str, default: np.ndarray) -> np.ndarray:
    """Of a field, float64, in the shape of its default."""
    given = fields.get(name)
    found = default if given is None else np.array([float(part) for part in given.split()])
    if found.size != default.size:
        raise InputError(f"{path}: has {found.size} numbers in '{name}', wanted {default.size}; repair its header.")
    return np.asarray(found, dtype=np.float64).reshape(default.shape)


def _yes(fields: dict[str, str], name: str) -> bool:
    return fields.get(name, "").lower() in ("true", "1", "yes", "t")


def _read(path: Path, content: bytes) -> Stored:
    lines, fields, end = _parse(path, content)
    count, channels = int(fields["ndims"]), int(fields.get("elementnumberofchannels", 1))
    sizes = [int(part) for part in fields["dimsize"].split()]
    if len(sizes) != count or count not in (3, 4) or (count == 4 and channels > 1) or channels < 1:
        raise InputError(
            f"{path}: has the size '{fields['dimsize']}' and {channels} channels, wanted three axes and at most one "
            f"more; {CONVERT}."
        )
    code = _TYPES.get(fields["elementtype"].upper())
    if code is None:
        raise InputError(f"{path}: holds voxels of type '{fields['elementtype']}', wanted plain numbers; {CONVERT}.")
    slope, shift = (fields.get(f"elementtointensityfunction{name}", "") for name in ("slope", "offset"))
    if (slope and float(slope) != 1) or (shift and float(shift) != 0):
        raise InputError(f"{path}: has a slope or offset of its intensities, which few programs apply; {CONVERT}.")
    dtype = np.dtype(code).newbyteorder(">" if _yes(fields, "binarydatabyteordermsb") else "<")
    shape = (channels, *sizes) if channels > 1 else tuple(sizes)
    voxels = _voxels(path, content[end:], fields, shape, dtype)
    if channels > 1:
        voxels, shape = volumes_last(voxels, shape, 0, dtype), (*sizes, channels)
    spacing = _numbers(path, fields, "elementspacing", _numbers(path, fields, "elementsize", np.ones(count)))
    turn = _numbers(path, fields, "transformmatrix", np.eye(count)).T
    affine = np.eye(4)
    affine[:3, :3] = turn[:3, :3] * spacing[:3]
    affine[:3, 3] = _numbers(path, fields, "offset", np.zeros(count))[:3]
    warnings: tuple[str, ...] = ()
    if "transformmatrix" not in fields:
        warnings = (
            f"{path.name}: does not say which way its axes point (no TransformMatrix); it was read as if they ran to "
            f"the left, back and up, as ITK does, so left and right are a guess. Compare with the scanner's image.",
        )
    nifti = as_nifti(path, voxels, shape, dtype, lps_to_ras(affine))
    head = _head(lines, sizes[:3], affine, spacing[:3], turn[:3, :3], bool(warnings))
    return Stored(nifti, warnings, "synthetic" in fields.get("comment", ""), head)


def _voxels(path: Path, inside: bytes, fields: dict[str, str], shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    if "binarydata" in fields and not _yes(fields, "binarydata"):
        raise InputError(f"{path}: has its voxels as text (BinaryData = False), wanted binary; {CONVERT}.")
    name, place, raw = fields["elementdatafile"], path, inside
    if name.upper() != "LOCAL":
        if name.upper().startswith("LIST") or "%" in name:
            raise InputError(f"{path}: has its voxels in several files ('{name}'), wanted one; {CONVERT}.")
        place = voxel_file(path, name)
        raw = place.read_bytes() if _yes(fields, "compresseddata") else read_whole(place)
    size = voxel_bytes(shape, dtype)
    skip = int(fields.get("headersize", 0))
    raw = raw[max(len(raw) - size, 0) :] if skip == -1 else raw[max(skip, 0) :]
    return inflated(place, raw, size, "zlib") if _yes(fields, "compresseddata") else raw


def _head(
    lines: list[tuple[str, str, str]],
    sizes: list[int],
    affine: np.ndarray,
    spacing: np.ndarray,
    turn: np.ndarray,
    unsaid: bool,
) -> bytes:
    """The header of a copy, without its last lines; what is not about axes or the voxels' place stays as it is."""

    def text(numbers: np.ndarray) -> str:
        return " ".join(repr(float(number)).removesuffix(".0") for number in numbers.ravel())

    place = [("TransformMatrix", text(turn.T))] if not unsaid else []
    place += [("Offset", text(affine[:3, 3])), ("ElementSpacing", text(spacing)), ("DimSize", text(np.array(sizes)))]
    kept = [(name, value) for name, field, value in lines if field not in _DROPPED]
    start = [one for one in kept if one[0].lower() == "objecttype"] or [("ObjectType", "Image")]
    rest = [one for one in kept if one[0].lower() != "objecttype"]
    # The type comes last but for the voxels: readers take it for the end of what describes the grid.
    rest.sort(key=lambda one: one[0].lower() == "elementtype")
    types = [one for one in rest if one[0].lower() == "elementtype"]
    every = [*start, ("NDims", "3"), *(one for one in rest if one not in types), *place, *types]
    return "".join(f"{name} = {value}\n" for name, value in every).encode("utf-8", "surrogateescape")


def _write(head: bytes, tail: bytes, voxels: bytes, note: str) -> bytes:
    if re.search(rb"(?mi)^CompressedData = (True|1|yes|t)$", head):
        voxels = zlib.compress(voxels, 6)
        head += f"CompressedDataSize = {len(voxels)}\n".encode()
    start, rest = head.split(b"\n", 1)
    return b"".join([start, f"\nComment = {note}\n".encode(), rest, b"ElementDataFile = LOCAL\n", voxels])


def _files(path: Path) -> list[Path]:
    """The header, and the file that it names."""
    name = _parse(path, read_whole(path))[1]["elementdatafile"]
    return [path] if name.upper() == "LOCAL" else [path, voxel_file(path, name)]


FORMATS.add("metaimage", Format("MetaImage", (".mha", ".mhd"), _holds, _read, _write, _files))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
NRRD, as 3D Slicer writes it: .nrrd, and .nhdr with the voxels beside it (https://teem.sourceforge.net/nrrd/format.html).

The header is lines of text, read here: ITK's reader for Python knows neither 8-bit signed nor 64-bit whole numbers, and
its writer makes a new header, whereas in a copy every line that still holds is to stay.
"""

from __future__ import annotations

import bz2
import gzip
import re
import sys
from dataclasses import dataclass
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

_MAGIC = re.compile(rb"NRRD000\d")

#: Voxel types by their names.
_NAMES = {
    "i1": "signed char,int8,int8_t",
    "u1": "uchar,unsigned char,uint8,uint8_t",
    "i2": "short,short int,signed short,signed short int,int16,int16_t",
    "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "i4": "int,signed int,int32,int32_t",
    "u4": "uint,unsigned int,uint32,uint32_t",
    "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
    "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names.split(",")}

#: Which way the three axes of a space run, as factors that make RAS of them.
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}

_ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}

#: Fields with one entry an axis, names without blanks.
_PER_AXIS = ("sizes", "spacings", "thicknesses", "axismins", "axismaxs", "centers", "centerings", "kinds", "labels")
_PER_AXIS += ("units", "spacedirections")

#: Fields that do not hold of a copy: where the voxels are, and their range before they were changed.
_DROPPED = ("datafile", "lineskip", "byteskip", "min", "max", "blocksize")

#: Under which name a copy says that it is synthetic.
_MARK = "mededit_monai"

_ENTRY = re.compile(r'\([^()]*\)|"(?:\\.|[^"\\])*"|\S+')


@dataclass
class _Header:
    """Lines of a header, fields by name (lower case, no blanks), and where it ends in the file."""

    path: Path
    lines: list[str]
    fields: dict[str, str]
    end: int

    def entries(self, name: str, count: int) -> list[str] | None:
        """Of a field with one entry an axis; None where there is no such field."""
        if name not in self.fields:
            return None
        found = _ENTRY.findall(self.fields[name])
        if len(found) != count:
            raise InputError(f"{self.path}: has {len(found)} '{name}', wanted {count}, one an axis; {CONVERT}.")
        return found

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.fields.get(name, default))
        except ValueError:
            raise InputError(f"{self.path}: has '{name}: {self.fields[name]}', wanted a whole number.") from None


def _holds(path: Path, content: bytes) -> bool:
    return _MAGIC.match(content) is not None or path.name.lower().endswith((".nrrd", ".nhdr"))


def _parse(path: Path, content: bytes) -> _Header:
    if _MAGIC.match(content) is None:
        raise InputError(f"{path}: is no NRRD file (it does not begin with NRRD000…); copy it again, or {CONVERT}.")
    blank = re.search(rb"\r?\n\r?\n", content)
    end = len(content) if blank is None else blank.end()
    text = content[:end].decode("utf-8", "surrogateescape")
    lines, fields = [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n")], {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.replace(" ", "").lower()] = value.strip()
    for name in ("type", "sizes", "dimension", "encoding"):
        if name not in fields:
            raise InputError(f"{path}: has no field '{name}' in its header; copy it again, or {CONVERT}.")
    return _Header(path, lines, fields, end)


def _read(path: Path, content: bytes) -> Stored:
    header = _parse(path, content)
    count = header.number("dimension", 0)
    sizes = [int(n) for n in header.entries("sizes", count) or ()]
    kinds = [kind.lower() for kind in header.entries("kinds", count) or ["???"] * count]
    other = _other_axes(header, count, kinds)
    if count - len(other) != 3 or len(other) > 1:
        raise InputError(
            f"{path}: has {count} axes {tuple(sizes)}, of which {count - len(other)} are in space, wanted three and at "
            f"most one more; {CONVERT}."
        )
    if other and "color" in kinds[other[0]]:
        raise InputError(f"{path}: holds colours, wanted plain numbers; convert it to a grey-scale image.")
    dtype = _dtype(header)
    voxels = _voxels(header, content, sizes, dtype)
    order = [axis for axis in range(count) if axis not in other] + other
    shape = tuple(sizes[axis] for axis in order)
    voxels = volumes_last(voxels, sizes, other[0] if other else 3, dtype)
    affine, warnings = _affine(header, order[:3], count)
    nifti = as_nifti(path, voxels, shape, dtype, affine)
    return Stored(
        nifti, warnings, any("synthetic" in ln for ln in header.lines if ":=" in ln), _head(header, order, count)
    )


def _other_axes(header: _Header, count: int, kinds: list[str]) -> list[int]:
    """Axes that do not lie in space: without a direction, or of a kind that says so, or what is beyond the third."""
    directions = header.entries("spacedirections", count)
    if directions is not None:
        return [k for k, one in enumerate(directions) if one.lower() == "none" or "nan" in one.lower()]
    named = [k for k, kind in enumerate(kinds) if kind not in ("domain", "space", "???", "none")]
    return named or list(range(3, count))


def _dtype(header: _Header) -> np.dtype:
    fields = header.fields
    code = _TYPES.get(" ".join(fields["type"].lower().split()))
    if code is None:
        raise InputError(f"{header.path}: holds voxels of type '{fields['type']}', wanted plain numbers; {CONVERT}.")
    endian = fields.get("endian", sys.byteorder).lower()
    if endian not in ("little", "big"):
        raise InputError(f"{header.path}: has 'endian: {endian}', wanted little or big; repair its header.")
    return np.dtype(code).newbyteorder("<" if endian == "little" else ">")


def _voxels(header: _Header, content: bytes, sizes: list[int], dtype: np.dtype) -> bytes:
    path, fields = header.path, header.fields
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        known = ", ".join(dict.fromkeys(_ENCODINGS.values()))
        raise InputError(f"{path}: has 'encoding: {fields['encoding']}', wanted one of {known}; {CONVERT}.")
    raw, place = content[header.end :], path
    if (name := fields.get("datafile")) is not None:
        if name.upper().startswith("LIST") or "%" in name:
            raise InputError(f"{path}: has its voxels in several files ('{name}'), wanted one; {CONVERT}.")
        place = voxel_file(path, name)
        raw = place.read_bytes() if encoding == "gzip" else read_whole(place)
    for _ in range(header.number("lineskip", 0)):
        raw = raw.partition(b"\n")[2]
    size = voxel_bytes(sizes, dtype)
    skip = header.number("byteskip", 0)
    if encoding != "raw":
        raw = inflated(place, raw, max(skip, 0) + size, encoding)
    elif skip == -1:
        return raw[max(len(raw) - size, 0) :]
    return raw[max(skip, 0) :]


def _affine(header: _Header, axes: list[int], count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxel → RAS mm of the axes in space, and what is open about it."""
    fields, affine = header.fields, np.eye(4)
    for unit in re.findall(r'"([^"]*)"', fields.get("spaceunits", "")):
        if unit.lower() not in ("mm", "millimeter", "millimeters", ""):
            raise InputError(f"{header.path}: gives its lengths in {unit}, wanted mm; write its directions in mm.")
    directions, spacings = header.entries("spacedirections", count), header.entries("spacings", count)
    if directions is not None:
        for column, axis in enumerate(axes):
            affine[:3, column] = _vector(header, directions[axis])
    elif spacings is not None:
        affine[range(3), range(3)] = [float(spacings[axis]) for axis in axes]
    if "spaceorigin" in fields:
        affine[:3, 3] = _vector(header, fields["spaceorigin"])
    factors = _SPACES.get(fields.get("space", "").lower())
    if factors is not None and directions is not None:
        return np.diag([*factors, 1.0]) @ affine, ()
    read = "its axes run to the left, back and up" if directions is None else "its space is left-posterior-superior"
    return lps_to_ras(affine), (
        f"{header.path.name}: does not say which way its axes point (space: '{fields.get('space', '')}'); it was read "
        f"as if {read}, as ITK does, so left and right are a guess. Compare with the scanner's image.",
    )


def _vector(header: _Header, text: str) -> list[float]:
    found = text.strip().strip("()").split(",")
    if len(found) != 3:
        raise InputError(f"{header.path}: has '{text}' for a direction or its origin, wanted (x,y,z); {CONVERT}.")
    return [float(part) for part in found]


def _head(header: _Header, order: list[int], count: int) -> bytes:
    """The header of a copy with its voxels inside and the axes in space alone; all other lines stay as they are."""
    lines = [header.lines[0]]
    for line in header.lines[1:]:
        name, colon, value = line.partition(":")
        key = name.replace(" ", "").lower()
        if value.startswith("=") and name == _MARK:
            continue
        if colon and not line.startswith("#") and not value.startswith("="):
            if key in _DROPPED:
                continue
            if count > 3 and key == "dimension":
                line = "dimension: 3"
            elif count > 3 and key in _PER_AXIS:
                found = header.entries(key, count) or []
                line = f"{name}: {' '.join(found[axis] for axis in order[:3])}"
        lines.append(line)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _write(head: bytes, tail: bytes, voxels: bytes, note: str) -> bytes:
    encoding = re.search(rb"(?mi)^encoding:\s*(\S+)", head)
    kind = _ENCODINGS[encoding[1].decode().lower()] if encoding else "raw"
    if kind == "gzip":
        voxels = gzip.compress(voxels, compresslevel=6, mtime=0)
    elif kind == "bzip2":
        voxels = bz2.compress(voxels)
    return head + f"{_MARK}:={note}\n\n".encode() + voxels


def _files(path: Path) -> list[Path]:
    """The header, and the file that it names."""
    if not path.name.lower().endswith(".nhdr"):
        return [path]
    name = _parse(path, read_whole(path)).fields.get("datafile")
    return [path] if name is None else [path, voxel_file(path, name)]


FORMATS.add("nrrd", Format("NRRD", (".nrrd", ".nhdr"), _holds, _read, _write, _files))

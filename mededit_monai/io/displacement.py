# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Displacements on disk: 5-D vector NIfTI (intent 1007) in LPS mm, which is what ITK and ANTs read; in memory RAS mm.

All are pull-backs: out(r) = in(r + u(r)).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import replacing
from mededit_monai.io.nifti import SYNTHETIC_NOTE, parse_nifti
from mededit_monai.io.whole import read_whole

#: NIfTI's intent of an image of vectors; a displacement of ours always has it, and its components are then LPS.
VECTOR_INTENT = 1007

#: So many planes are prepared and compressed at a time.
_PLANES = 16

#: From the components along RAS to those along LPS and back.
_FLIP = (-1.0, -1.0, 1.0)


def write_displacement(
    path: str | Path,
    field: np.ndarray,
    affine: np.ndarray,
    step_mm: float | None = None,
    shape: tuple[int, ...] | None = None,
    start: tuple[int, ...] = (0, 0, 0),
) -> None:
    """
    Write a displacement, marked as synthetic, whole or not at all; the same bytes for the same field.

    Args:
        path: ``.nii`` or ``.nii.gz``; the latter is compressed fast rather than small.
        field: u in mm along the world's axes (RAS), 3xXxYxZ. Of a slice 2xXxY will do: it does not leave its plane.
        affine: voxel → world mm, 4x4, of the whole grid.
        step_mm: store whole multiples of so many mm in 16 bits, 0.001 for example: 0 stays 0, and what would not fit
            takes a larger step. None stores float32.
        shape, start: where the field is part of a grid, the grid's shape and the field's first voxel in it; u is 0 in
            the rest, which need not be in memory.

    Raises:
        ValueError: another shape, NaN or infinite components.
    """
    field = np.asarray(field)
    if field.ndim == 3 and len(field) == 2:
        field = np.stack([*field, np.zeros_like(field[0])])[..., None]
    if field.ndim != 4 or len(field) != 3:
        raise ValueError(f"a displacement is 3xXxYxZ, or 2xXxY of a slice; got {field.shape}.")
    largest = float(np.max([np.abs(part).max(initial=0) for part in field]))
    if not np.isfinite(largest):
        raise ValueError("a displacement must be finite.")
    dtype, slope = np.dtype("<f4"), None
    if step_mm is not None:
        dtype, slope = np.dtype("<i2"), float(np.float32(max(step_mm, largest / np.iinfo(np.int16).max)))
    shape = field.shape[1:] if shape is None else shape
    head = _head(shape, dtype.str, np.asarray(affine, dtype=np.float64).tobytes(), slope)
    small = str(path).lower().endswith(".gz")
    with replacing(path) as unfinished, open(unfinished, "wb") as stream:
        stream.write(gzip.compress(head, 1, mtime=0) if small else head)
        for content in _contents(field, shape, start, dtype, slope):
            if small:  # a file may be several compressed ones in a row: those of nothing need not be made anew
                content = _zeros(content) if isinstance(content, int) else gzip.compress(content, 1, mtime=0)
            stream.write(bytes(content) if isinstance(content, int) else content)


def _contents(
    field: np.ndarray, shape: tuple[int, ...], start: tuple[int, ...], dtype: np.dtype, slope: float | None
) -> Iterator[bytes | int]:
    """What follows the header in turn, all of the first component before the second: bytes, or how many are 0."""
    x, y, z = (slice(begin, begin + count) for begin, count in zip(start, field.shape[1:]))
    plane_bytes = shape[0] * shape[1] * dtype.itemsize
    for sign, component in zip(_FLIP, field):
        yield z.start * plane_bytes
        for first in range(0, component.shape[2], _PLANES):
            values = component[:, :, first : first + _PLANES] * np.float32(sign)
            values = values if slope is None else np.rint(values / slope)
            part = np.zeros((*shape[:2], values.shape[2]), dtype, order="F")
            part[x, y] = values + 0.0  # -0 is 0
            yield part.tobytes("F")
        yield (shape[2] - z.stop) * plane_bytes


def _zeros(count: int) -> bytes:
    """So many zeros, compressed."""
    return _some_zeros(2**20) * (count >> 20) + _some_zeros(count & (2**20 - 1))


@lru_cache(maxsize=16)
def _some_zeros(count: int) -> bytes:
    return gzip.compress(bytes(count), 1, mtime=0) if count else b""


@lru_cache(maxsize=64)
def _head(shape: tuple[int, ...], dtype: str, affine: bytes, slope: float | None) -> bytes:
    """All before the voxels; building it takes longer than writing a slice."""
    header, to_world = nib.Nifti1Header(), np.frombuffer(affine).reshape(4, 4)
    header.set_data_shape((*shape, 1, 3))
    header.set_data_dtype(np.dtype(dtype))
    header.set_sform(to_world, code=2)
    steps = to_world[:3, :3] / np.linalg.norm(to_world[:3, :3], axis=0)
    if np.allclose(steps.T @ steps, np.eye(3), atol=1e-5):  # a quaternion cannot tell of shear
        header.set_qform(to_world, code=2)
    header.set_intent(VECTOR_INTENT, name="displacement")
    header.set_xyzt_units("mm")
    header["descrip"] = SYNTHETIC_NOTE.encode()
    header["vox_offset"] = header.single_vox_offset
    if slope is not None:
        header.set_slope_inter(slope, 0)
    return header.binaryblock + bytes(int(header["vox_offset"]) - len(header.binaryblock))


def read_displacement(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """
    Read a displacement that has the intent of vectors: LPS mm on disk.

    Returns:
        u in mm along the world's axes (RAS), 3xXxYxZ float32 in the order in which voxels are stored, and the affine
        (voxel → world mm, 4x4).

    Raises:
        InputError: missing or damaged file, one without the intent (as older ones, in RAS mm, are), another shape, NaN
            or infinite components.
    """
    path = Path(path)
    image: Any = parse_nifti(path, read_whole(path))
    intent = int(image.header["intent_code"])
    if intent != VECTOR_INTENT:
        raise InputError(
            f"{path}: has the intent code {intent}, wanted {VECTOR_INTENT} (vectors, in LPS mm); displacements written "
            f"before mededit had it are in RAS mm, so make this one again, for example with mededit simulate."
        )
    if len(image.shape) != 5 or image.shape[3:] != (1, 3):
        raise InputError(
            f"{path}: has the shape {image.shape}, wanted (x, y, z, 1, 3): a displacement of three components a voxel; "
            f"write it as ITK does."
        )
    try:
        stored = np.asarray(image.dataobj, dtype=np.float32)
    except (EOFError, OSError, ValueError) as error:
        why = str(error).split("\n")[0][:120]
        raise InputError(f"{path}: is truncated or damaged ({why}); copy or download it again.") from error
    if not np.isfinite(stored).all():
        raise InputError(f"{path}: holds NaN or infinite components, wanted finite numbers; make it again.")
    field = np.stack([stored[..., 0, part] * np.float32(sign) + 0.0 for part, sign in enumerate(_FLIP)])
    return field.astype(np.float32, copy=False), np.asarray(image.affine, dtype=np.float64)

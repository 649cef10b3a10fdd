# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Formats of images by name, and which of them a file is in.

Every format is read as a NIfTI image in memory, so that whatever edits voxels knows one kind of file. Its voxels are
those of the file, bit for bit and in their order, so that a file of the same format can be put around them again.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.registry import Registry
from mededit_monai.io.hashing import sha256
from mededit_monai.io.whole import read_whole

#: How the name of a copy in NIfTI ends.
NIFTI_ENDING = ".nii.gz"

#: The way out of most of what cannot be read.
CONVERT = "convert it to NIfTI, with dcm2niix if it is DICOM, else with mri_convert of FreeSurfer or 3D Slicer"


@dataclass(frozen=True)
class Stored:
    """
    What a file holds.

    Args:
        nifti: a NIfTI image (.nii, not compressed) with the file's voxels, data type, byte order and geometry; several
            volumes lie along its fourth axis.
        warnings: sentences about what the file leaves open.
        synthetic: whether it says that the image is, outside of what becomes the NIfTI header.
        head, tail: what a file of the same format with one volume has before and behind its voxels, for
            :attr:`Format.write`.
    """

    nifti: bytes
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    head: bytes = b""
    tail: bytes = b""


@dataclass(frozen=True)
class Format:
    """
    A format.

    Args:
        title: its name for people.
        endings: of its files, lower case, the one that a copy gets first.
        holds: from a path and the content (decompressed; nothing for a folder), whether it is in the format.
        read: the same to what is stored; raises InputError for what cannot be used.
        write: from head, tail, voxels and a note that the image is synthetic to the content of a file; None: such files
            are not written, and what is made of them becomes NIfTI.
        files: all files that a path stands for, the first of which names them.
    """

    title: str
    endings: tuple[str, ...]
    holds: Callable[[Path, bytes], bool]
    read: Callable[[Path, bytes], Stored]
    write: Callable[[bytes, bytes, bytes, str], bytes] | None = None
    files: Callable[[Path], list[Path]] = lambda path: [path]

    @property
    def ending(self) -> str:
        """Of the files that are written."""
        return NIFTI_ENDING if self.write is None else self.endings[0]


_HERE = "mededit_monai.io.formats"

#: In the order in which they are tried; the last one says what is wrong with a file of none of them.
FORMATS: Registry[Format] = Registry(
    "scan", [f"{_HERE}.{name}" for name in ("mgh", "nrrd", "metaimage", "nifti_pair", "analyze", "dicom", "nifti")]
)


def format_of(path: Path, content: bytes) -> str:
    """Name of the format that a file is in; what it is called decides only where its content does not."""
    return next((name for name, one in FORMATS.items() if one.holds(path, content)), "nifti")


def read_stored(path: Path) -> tuple[str, Stored]:
    """
    Read a file, or a folder of DICOM.

    Returns:
        the name of its format, and what it holds.

    Raises:
        InputError: absent, damaged, of another format or with something in it that cannot be used.
    """
    content = b"" if path.is_dir() and _is_dicom(path) else read_whole(path)
    name = format_of(path, content)
    try:
        return name, FORMATS[name].read(path, content)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: cannot be read as {FORMATS[name].title} ({type(error).__name__}: {short(error)}); copy it again, "
            f"or {CONVERT}."
        ) from error


def _is_dicom(path: Path) -> bool:
    return FORMATS["dicom"].holds(path, b"")


def is_there(path: str | Path) -> bool:
    """Whether a path is an image as far as can be told without reading it: a file, or a folder with DICOM in it."""
    return os.path.isfile(path) or (os.path.isdir(path) and _is_dicom(Path(path)))


def files_of(path: str | Path) -> list[Path]:
    """
    All files that an image is made of: itself; with an .hdr the .img; the files of a DICOM folder.

    Raises:
        InputError: one of them is missing.
    """
    path = Path(path)
    fitting = (one for name, one in FORMATS.items() if path.name.lower().endswith(one.endings) and name != "nifti")
    found = FORMATS["dicom"] if path.is_dir() else next(fitting, None)
    return [path] if found is None else found.files(path)


def image_sha256(path: str | Path) -> str:
    """SHA-256 of an image's file, hexadecimal; of one that is made of several, of their names and SHA-256."""
    files = files_of(path)
    if len(files) == 1:
        return sha256(files[0])
    listed = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()


def is_image(path: Path) -> bool:
    """Whether a name ends as an image's does, in lower or upper case; of a pair only the header's does."""
    name = path.name.lower()
    return name.endswith(tuple(e for one in FORMATS.values() for e in one.endings)) and not name.endswith(_VOXELS)


_VOXELS = (".img", ".img.gz")


def image_stem(path: str | Path) -> str:
    """File name without its ending, if that is an image's, in lower or upper case."""
    endings = sorted((e for one in FORMATS.values() for e in one.endings), key=len, reverse=True)
    return re.sub(rf"(?i:{'|'.join(map(re.escape, endings))})\Z", "", Path(path).name)


def voxel_bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    """Bytes of so many voxels, in Python's numbers, which do not overflow; 0 where a side is not positive."""
    return math.prod(max(int(side), 0) for side in shape) * dtype.itemsize


def volumes_last(voxels: bytes, shape: Sequence[int], axis: int, dtype: np.dtype) -> bytes:
    """Voxels, first axis fastest, with one of four axes moved to the end; as they are if that is the last already."""
    if axis == 3 or len(voxels) != voxel_bytes(shape, dtype):  # which as_nifti has a sentence for
        return voxels
    return np.moveaxis(np.frombuffer(voxels, dtype).reshape(shape, order="F"), axis, 3).tobytes("F")


def as_nifti(
    path: Path,
    voxels: bytes,
    shape: tuple[int, ...],
    dtype: np.dtype,
    affine: np.ndarray,
    known: bool = True,
    scale: tuple[float, float] = (1.0, 0.0),
) -> bytes:
    """
    A NIfTI image around voxels as they are.

    Args:
        path: of the file, for sentences.
        voxels: first axis fastest; shape: of three axes or four; dtype: with its byte order.
        affine: voxel → RAS mm, 4x4.
        known: whether the affine says where left is; if not, the header leaves it open (sform and qform codes 0).
        scale: slope and intercept of the stored values.

    Raises:
        InputError: fewer or more voxels than there should be.
    """
    size = voxel_bytes(shape, dtype)
    if len(voxels) != size or not size:
        raise InputError(
            f"{path}: is truncated or damaged ({len(voxels)} bytes of voxels, wanted {size} for "
            f"{' x '.join(map(str, shape))} of {dtype.name}); copy or download it again."
        )
    kind = nib.Nifti1Header if max(shape) < 2**15 else nib.Nifti2Header
    header = kind(endianness=">" if dtype.byteorder == ">" else "<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if np.isfinite(sides).all() and sides.all():
        header.set_zooms([*sides, *[1.0] * (len(shape) - 3)])
        steps = affine[:3, :3] / sides
        if known and np.allclose(steps.T @ steps, np.eye(3), atol=1e-5):  # a quaternion cannot tell of shear
            header.set_qform(affine, code=1)
    if known:
        header.set_sform(affine, code=1)
    header.set_slope_inter(*scale)
    header.set_xyzt_units("mm")
    header["vox_offset"] = header.single_vox_offset
    return bytes(header.binaryblock) + bytes(int(header["vox_offset"]) - len(header.binaryblock)) + voxels


def lps_to_ras(affine: np.ndarray) -> np.ndarray:
    """Voxel → RAS mm, 4x4, from voxel → LPS mm, as ITK has it: x and y run the other way."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def short(error: BaseException) -> str:
    """The beginning of what an error says, on one line."""
    return str(error).strip().split("\n")[0][:120]

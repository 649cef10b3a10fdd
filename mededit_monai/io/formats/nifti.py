# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI in one file, and what its header leaves open."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import imageglobals

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.directions import axis_names, is_usable
from mededit_monai.io.formats.foreign import foreign
from mededit_monai.io.formats.registry import CONVERT, FORMATS, NIFTI_ENDING, Format, Stored, short

#: First bytes of a header of NIfTI-2, in both byte orders.
_SECOND = ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))


@contextmanager
def repairs() -> Iterator[list[str]]:
    """What nibabel mends in the headers that it reads meanwhile, which it would say on stderr."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = imageglobals.logger
    kept, logger.handlers, passed_on, logger.propagate = logger.handlers, [handler], logger.propagate, False
    try:
        yield found
    finally:
        logger.handlers, logger.propagate = kept, passed_on


def parse_nifti(path: Path, content: bytes) -> nib.Nifti1Image:
    """
    A NIfTI-1 or NIfTI-2 image from its bytes; what the file is called does not matter.

    Raises:
        InputError: no NIfTI, or a header that names other voxels than the file holds.
    """
    with repairs():
        return _parse(path, content)


def _parse(path: Path, content: bytes) -> nib.Nifti1Image:
    image = _parsed(path, content)
    _require_voxels(path, image, len(content))
    return image


def _require_voxels(path: Path, image: nib.Nifti1Image, length: int) -> None:
    """Refuse a shape that none has, and more voxels than there are: numpy would run out of memory, or of integers."""
    shape, dtype, start = tuple(int(n) for n in image.shape), image.get_data_dtype(), int(image.dataobj.offset)
    if min(shape, default=0) < 1:
        raise InputError(
            f"{path}: is truncated or damaged (its header gives it the shape {shape}, wanted at least one voxel along "
            f"every axis); copy or download it again."
        )
    wanted = start + math.prod(shape) * dtype.itemsize
    if wanted > length:
        raise InputError(
            f"{path}: is truncated or damaged ({length} bytes, and by its header {wanted:.15g}: from byte {start:.15g} "
            f"on {'x'.join(map(str, shape))} voxels of {dtype.itemsize}); copy or download it again."
        )


def _parsed(path: Path, content: bytes) -> nib.Nifti1Image:
    kind = nib.Nifti2Image if content[:4] in _SECOND else nib.Nifti1Image
    try:
        if kind.header_class(content[: kind.header_class.sizeof_hdr], check=False)["magic"].item()[:1] != b"n":
            raise InputError(f"{path}: is no NIfTI file, wanted a .nii or .nii.gz file; {CONVERT}.")
        return kind.from_bytes(content)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as NIfTI ({short(error)}); wanted a complete .nii or .nii.gz file, or an image in "
            f"another format that is read, so {CONVERT}."
        ) from error


def require_millimetres(path: Path, image: nib.Nifti1Image) -> None:
    """Refuse a header that gives lengths in metres or micrometres; one that names no unit means mm."""
    try:
        unit = image.header.get_xyzt_units()[0]
    except KeyError:
        unit = "an unknown unit"
    if unit in ("mm", "unknown"):
        return
    zooms = " x ".join(f"{z:g}" for z in image.header.get_zooms()[:3])
    raise InputError(
        f"{path}: gives its lengths in {unit} (voxels of {zooms}), wanted mm; write the affine in mm and set the "
        f"header's xyzt_units to mm, for example with nibabel."
    )


def orientation_warnings(path: Path, image: nib.Nifti1Image) -> tuple[str, ...]:
    """
    What a header leaves open about directions.

    Raises:
        InputError: sform and qform are both set and one mirrors the other: which side is left cannot be known.
    """
    header = image.header
    sform, qform = header.get_sform(coded=True)[0], None
    try:
        qform = header.get_qform(coded=True)[0]
    except Exception:  # a broken quaternion; the sform is used then
        broken = True
    else:
        broken = qform is not None and not is_usable(qform)
    if broken and sform is None:
        raise InputError(f"{path}: has an unusable qform and no sform; repair its header.")
    qform = None if broken else qform
    read = axis_names(image.affine)
    if sform is None and qform is None:
        return (
            f"{path.name}: does not say which way its axes point (sform and qform codes are 0); they were read as "
            f"{read}, so left and right are a guess. Compare with the scanner's image.",
        )
    if sform is None or qform is None:
        return ()
    codes = [axis_names(affine) for affine in (sform, qform)]
    if np.sign(np.linalg.det(sform[:3, :3])) != np.sign(np.linalg.det(qform[:3, :3])):
        raise InputError(
            f"{path}: its sform says {codes[0]} and its qform {codes[1]}, which are mirror images, so left and right "
            f"are unknown; find out which is right and write it to both (fslorient -copysform2qform or "
            f"-copyqform2sform)."
        )
    if codes[0] != codes[1]:
        return (f"{path.name}: its sform says {codes[0]}, its qform {codes[1]}; the sform was used.",)
    return ()


def _read(path: Path, content: bytes) -> Stored:
    sentence = foreign(path, content)
    if sentence:
        raise InputError(f"{path}: {sentence}")
    with repairs() as mended:
        _parse(path, content)
    odd = [
        f"{path.name}: its header is odd, and was read with this mended: {one}." for one in mended if "SPM" not in one
    ]
    return Stored(content, tuple(odd))


def _write(head: bytes, tail: bytes, voxels: bytes, note: str) -> bytes:
    return head + voxels + tail  # never asked: a copy of NIfTI has its header at hand


# Whatever is of no other format is taken for NIfTI, whose reader says what is wrong with it.
FORMATS.add("nifti", Format("NIfTI", (NIFTI_ENDING, ".nii"), lambda path, content: True, _read, _write))

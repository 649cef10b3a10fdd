# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Reading NIfTI files as they come, and writing back one that differs in the edited voxels alone."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import write_bytes
from mededit_monai.io.whole import read_whole

#: Written into the header's description field of every image this package makes.
SYNTHETIC_NOTE = "synthetic (mededit_monai); research use only, not a medical device"

#: The same for slices and volumes that show what a scanner saw.
PREPARED_NOTE = "prepared by mededit_monai; research use only, not a medical device"


#: Values that a mask may hold: binary, and a tumour's labels in new and older releases of BraTS.
BINARY = ((0, 1), (0, 255))
TUMOR_LABELS = ((0, 1, 2, 3), (0, 1, 2, 4))

#: How far a mask's values may be from whole numbers: 8-bit with a slope of 1/255 gives 1.0000004, averaging 0.9999.
VALUE_TOLERANCE = 1e-3

#: Farthest that a corner of two grids may be apart in mm to be the same; from there to the second figure (times the
#: voxel size, where that is above 1 mm) the same with a warning.
CORNER_TOLERANCE = (1e-3, 1e-2)


@dataclass(frozen=True)
class Volume:
    """
    A 3-D image in RAS order.

    Args:
        path: the file.
        data: XxYxZ float32, scaled by the header's slope and intercept.
        affine: voxel (RAS order) → mm, 4x4.
        native_affine, native_shape: as stored.
        warnings: sentences about what the header leaves open.
        synthetic: whether the header's description says that the image is.
        content: the file, decompressed: whoever wants a copy of it need not open it again.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    native_affine: np.ndarray
    native_shape: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    content: bytes = field(default=b"", repr=False)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, (x, y, z) in RAS order."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


def read_volume(path: str | Path) -> Volume:
    """
    Read a 3-D NIfTI file and reorient it to RAS (axes permuted and mirrored, never resampled).

    Raises:
        InputError: missing, unreadable, truncated or damaged file, not NIfTI, not 3-D ((x, y, z, 1) is), colour or
            complex voxels, NaN or infinite voxels, unusable affine, another unit than mm, or two affines of which one
            mirrors the other.
    """
    path = Path(path)
    content = read_whole(path)
    image = parse_nifti(path, content)
    shape = image.shape
    spatial = shape[:3] + (1,) * (3 - len(shape[:3]))
    if len(shape) < 2 or any(n != 1 for n in shape[3:]):
        raise InputError(
            f"{path}: has {len(shape)} dimensions {shape}, wanted one 3-D image; save a single volume of it, for "
            f"example with nibabel's image.slicer[..., 0]."
        )
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise InputError(f"{path}: holds {dtype} voxels, wanted plain numbers; convert it to a grey-scale image.")
    try:
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(spatial)
    except (EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: is truncated or damaged ({_short(error)}); copy or download it again.") from error
    bad = int(np.count_nonzero(~np.isfinite(data)))
    if bad:
        raise InputError(
            f"{path}: holds {bad} NaN or infinite voxels, wanted finite numbers; replace them, for example with "
            f"numpy.nan_to_num."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: has an unusable affine {affine.round(3).tolist()}; repair its sform or qform.")
    _require_millimetres(path, image)
    orientation = io_orientation(affine)
    return Volume(
        path=path,
        data=apply_orientation(data, orientation),
        affine=affine @ inv_ornt_aff(orientation, spatial),
        native_affine=affine,
        native_shape=spatial,
        warnings=_orientation_warnings(path, image),
        synthetic=b"synthetic" in image.header["descrip"].tobytes(),
        content=content,
    )


def _require_millimetres(path: Path, image: nib.Nifti1Image) -> None:
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


def _orientation_warnings(path: Path, image: nib.Nifti1Image) -> tuple[str, ...]:
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
        if sform is None:
            raise InputError(f"{path}: has an unusable qform and no sform; repair its header.") from None
    read = "".join(nib.aff2axcodes(image.affine))
    if sform is None and qform is None:
        return (
            f"{path.name}: does not say which way its axes point (sform and qform codes are 0); they were read as "
            f"{read}, so left and right are a guess. Compare with the scanner's image.",
        )
    if sform is None or qform is None:
        return ()
    codes = ["".join(nib.aff2axcodes(affine)) for affine in (sform, qform)]
    if np.sign(np.linalg.det(sform[:3, :3])) != np.sign(np.linalg.det(qform[:3, :3])):
        raise InputError(
            f"{path}: its sform says {codes[0]} and its qform {codes[1]}, which are mirror images, so left and right "
            f"are unknown; find out which is right and write it to both (fslorient -copysform2qform or "
            f"-copyqform2sform)."
        )
    if codes[0] != codes[1]:
        return (f"{path.name}: its sform says {codes[0]}, its qform {codes[1]}; the sform was used.",)
    return ()


def require_same_grid(volume: Volume, reference: Volume) -> str | None:
    """
    Refuse a mask on another grid than its scan's.

    Returns:
        a warning where the grids are a hair apart: more than 1e-3 mm at a corner, but less than a hundredth of a voxel.

    Raises:
        InputError: if shapes differ, or corners by more than that; names both files and where they differ.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(reference.native_shape) - 1)
    points = np.c_[corners, np.ones(len(corners))]
    other = reference.native_affine
    difference = volume.native_affine - other
    apart = float(np.linalg.norm(points @ difference[:3].T, axis=1).max())
    same, close = CORNER_TOLERANCE
    if volume.native_shape == reference.native_shape and apart <= close * max(1.0, *reference.spacing):
        if apart <= same:
            return None
        return f"{volume.path.name}: its corners lie up to {apart:.4f} mm from the scan's; taken as the same grid."
    if volume.native_shape != reference.native_shape:
        what = f"shape {volume.native_shape} against {reference.native_shape}"
    else:
        what = f"corners up to {apart:.4g} mm apart, wanted at most {same:g}"
    rows, columns = np.nonzero(difference)
    odd = [
        f"[{i}, {j}] {round(float(mine), 7)} against {round(float(its), 7)}"
        for i, j, mine, its in zip(rows, columns, volume.native_affine[rows, columns], other[rows, columns])
    ]
    affine = f", affine {'; '.join(odd)}" if odd else ", the same affine"
    raise InputError(
        f"{volume.path}: lies on another grid than {reference.path}: {what}{affine}; resample it onto the scan with "
        f"nearest-neighbour interpolation."
    )


def whole_values(volume: Volume) -> np.ndarray:
    """A mask's or label map's voxels, XxYxZ float32, those within 1e-3 of a whole number rounded to it."""
    found, inside = volume.data.copy(), volume.data != 0  # most of a mask is 0, and a volume has millions of voxels
    values = volume.data[inside]
    whole = np.rint(values)
    found[inside] = np.where(np.abs(values - whole) <= VALUE_TOLERANCE, whole, values)
    return found


def label_mask(volume: Volume) -> np.ndarray:
    """
    A tumour's labels as uint8: 1 necrotic core, 2 edema, 3 enhancing (4 in older releases of BraTS).

    Raises:
        InputError: if the values are neither {0, 1, 2, 3} nor {0, 1, 2, 4}, or all are zero.
    """
    inside = binary_mask(volume, TUMOR_LABELS)
    return np.where(inside, np.minimum(whole_values(volume), 3), 0).astype(np.uint8)


def binary_mask(volume: Volume, accepted: tuple[tuple[int, ...], ...] = BINARY) -> np.ndarray:
    """
    A mask's voxels as bool; values within 1e-3 of an accepted one are that.

    Raises:
        InputError: if the values are not one of the accepted sets, or all are zero.
    """
    whole = whole_values(volume)
    values = np.unique(whole)
    if not any(set(values.tolist()) <= set(allowed) for allowed in accepted):
        known = {value for allowed in accepted for value in allowed}
        first = sorted(values.tolist(), key=lambda v: v in known)  # what is wrong comes first
        shown = ", ".join(np.format_float_positional(np.float32(v), trim="-") for v in first[:8])
        wanted = " or ".join("{" + ", ".join(map(str, a)) + "}" for a in accepted)
        kind, more = "a binary" if accepted == BINARY else "a usable", ", …" if len(first) > 8 else ""
        raise InputError(
            f"{volume.path}: is not {kind} mask: found {len(values)} values ({shown}{more}), wanted {wanted}; "
            f"threshold it and save it without lossy compression."
        )
    if not values.any():
        raise InputError(f"{volume.path}: is empty (every voxel is 0); draw a region of ones in it.")
    return whole > 0


class NativeCopy:
    """
    A byte copy of a NIfTI file whose voxels can be changed in RAS order.

    Everything that is not changed stays the input's: data type, byte order, slope and intercept, both transforms with
    their codes, extensions. Saving through floats would rescale integers and change every voxel.

    Args:
        volume: of :func:`read_volume`; its file is not opened again.
    """

    def __init__(self, volume: Volume) -> None:
        self._bytes = bytearray(volume.content)
        image = parse_nifti(volume.path, volume.content)
        header, shape = image.header, volume.native_shape
        count = int(np.prod(shape))
        stored = np.frombuffer(self._bytes, dtype=image.get_data_dtype(), count=count, offset=image.dataobj.offset)
        self._stored = stored.reshape(shape, order="F")
        self._ras = apply_orientation(self._stored, io_orientation(image.affine))  # a view: no voxel is copied
        self.slope, self.inter = float(image.dataobj.slope), float(image.dataobj.inter)
        place = header.structarr.dtype.fields["descrip"]
        self._describe(place[1], place[0].itemsize)

    def _describe(self, offset: int, size: int) -> None:
        note = SYNTHETIC_NOTE.encode()[: size - 1]
        self._bytes[offset : offset + size] = note.ljust(size, b"\0")

    def values(self, part: Any = ...) -> np.ndarray:
        """Voxels in scan units, float64: all, XxYxZ in RAS order, or those at an index such as ``np.s_[:, :, 3]``."""
        return self._ras[part].astype(np.float64) * self.slope + self.inter

    def replace(self, values: np.ndarray, where: np.ndarray, part: Any = ...) -> int:
        """
        Store new values (scan units).

        Args:
            values, where: of the same shape as the part; stored is what ``where`` marks.
            part: index of what is replaced, in RAS order; all if left out.

        Returns:
            how many of them the stored data type could not hold; these saturate.
        """
        stored = (values[where] - self.inter) / self.slope
        dtype, saturated = self._ras.dtype, 0
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            stored = np.rint(stored)
            saturated = int(np.count_nonzero((stored < limits.min) | (stored > limits.max)))
            stored = np.clip(stored, limits.min, limits.max)
        self._ras[part][where] = stored.astype(dtype)
        return saturated

    def native_volume(self) -> np.ndarray:
        """The whole volume as it stands, scan units, stored order, float32."""
        return (self._stored.astype(np.float32) * self.slope + self.inter).astype(np.float32)

    @staticmethod
    def to_native(ras: np.ndarray, volume: Volume) -> np.ndarray:
        """Bring an array on a volume's RAS grid into the file's stored order."""
        native = np.empty(volume.native_shape, dtype=ras.dtype)
        apply_orientation(native, io_orientation(volume.native_affine))[...] = ras
        return native

    def save(self, path: str | Path) -> None:
        """Write as ``.nii`` or ``.nii.gz`` (by the name)."""
        write_bytes(path, _compressed(bytes(self._bytes), path))


def save_synthetic(data: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Write a new NIfTI image (the array's own data type) marked as synthetic, reproducible byte for byte."""
    save_image(data, affine, path, SYNTHETIC_NOTE)


def save_image(data: np.ndarray, affine: np.ndarray, path: str | Path, note: str = PREPARED_NOTE) -> None:
    """
    Write a new NIfTI image (the array's own data type), reproducible byte for byte.

    Args:
        affine: voxel → mm, 4x4.
        path: ``.nii`` or ``.nii.gz``.
        note: the header's description; at most 79 bytes.
    """
    write_bytes(path, _compressed(image_bytes(data, affine, note), path))


def image_bytes(data: np.ndarray, affine: np.ndarray, note: str = SYNTHETIC_NOTE) -> bytes:
    """What :func:`save_image` writes, before compression."""
    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header["descrip"] = note.encode()
    image.header.set_xyzt_units("mm")
    return bytes(image.to_bytes())


def read_array(path: str | Path) -> np.ndarray:
    """
    Voxels of an image of ours in stored order, scaled, in the type that nibabel gives them; for cohorts and cases.

    Raises:
        InputError: missing, damaged, not NIfTI, or with NaN or infinite voxels.
    """
    path = Path(path)
    try:
        array = np.asarray(parse_nifti(path, read_whole(path)).dataobj)
    except (EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: is truncated or damaged ({_short(error)}); copy or download it again.") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{path}: holds NaN or infinite voxels, wanted finite numbers; make it again.")
    return array


def _compressed(content: bytes, path: str | Path) -> bytes:
    """Compressed where the name says so, the same bytes for the same content."""
    return gzip.compress(content, compresslevel=6, mtime=0) if str(path).lower().endswith(".gz") else content


def parse_nifti(path: Path, content: bytes) -> nib.Nifti1Image:
    """A NIfTI-1 or NIfTI-2 image from its bytes; what the file is called does not matter."""
    kind = (
        nib.Nifti2Image if content[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big")) else nib.Nifti1Image
    )
    try:
        if kind.header_class(content[: kind.header_class.sizeof_hdr], check=False)["magic"].item()[:1] != b"n":
            raise InputError(f"{path}: is no NIfTI file, wanted a .nii or .nii.gz file; convert it first.")
        return kind.from_bytes(content)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as NIfTI ({_short(error)}); wanted a complete .nii or .nii.gz file."
        ) from error


def _short(error: BaseException) -> str:
    return str(error).split("\n")[0][:120]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Reading images as they come, and writing back one that differs in the edited voxels alone."""

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
from mededit_monai.io.formats.directions import is_usable
from mededit_monai.io.formats.echo import one_volume
from mededit_monai.io.formats.nifti import orientation_warnings, parse_nifti, require_millimetres
from mededit_monai.io.formats.registry import FORMATS, NIFTI_ENDING, image_stem, read_stored, short
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
        content: the file as an uncompressed NIfTI image: whoever wants a copy of it need not open it again.
        kind: name of the file's format.
        head, tail: what a copy in that format has around its voxels, of a format other than NIfTI.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    native_affine: np.ndarray
    native_shape: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    content: bytes = field(default=b"", repr=False)
    kind: str = "nifti"
    head: bytes = field(default=b"", repr=False)
    tail: bytes = field(default=b"", repr=False)

    @property
    def ending(self) -> str:
        """How the name of a copy ends: the file's own format, or NIfTI where that is not written."""
        return FORMATS[self.kind].ending

    @property
    def copy_name(self) -> str:
        """Name of a copy: the file's own where that fits."""
        detached = self.path.name.lower().endswith((".nhdr", ".mhd"))  # a copy has its voxels inside
        own = () if detached or self.ending == NIFTI_ENDING else FORMATS[self.kind].endings
        fits = self.path.name.lower().endswith(own)
        return self.path.name if fits or self.kind == "nifti" else image_stem(self.path) + self.ending

    @property
    def format_warnings(self) -> tuple[str, ...]:
        """What is to be said if a copy of it is in another format."""
        own = FORMATS[self.kind]
        if own.write is not None or self.kind == "nifti_pair":
            return ()
        return (f"{self.path.name}: {own.title} is not written, so what is made of it is NIfTI ({NIFTI_ENDING}).",)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, (x, y, z) in RAS order."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml; of a sheared grid (a tilted gantry's) it is less than the product of its sides."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000


def read_volume(path: str | Path) -> Volume:
    """
    Read a 3-D image in any format of :mod:`~mededit_monai.io.formats` and reorient it to RAS (axes permuted and
    mirrored, never resampled).

    Raises:
        InputError: missing, unreadable, truncated or damaged file, a format that is not read, not 3-D ((x, y, z, 1)
            is), colour or complex voxels, NaN or infinite voxels, unusable affine, another unit than mm, or two
            affines of which one mirrors the other.
    """
    return _read(Path(path), None, False)


def read_echo(path: str | Path, echo: int | None) -> Volume:
    """
    As :func:`read_volume`, for a command with the option ``--echo``.

    Args:
        echo: which volume of several, by its index along the fourth axis; None: there is only one.

    Raises:
        InputError: also, one of several is not chosen, or one is chosen where there are no others.
    """
    return _read(Path(path), echo, True)


def _read(path: Path, echo: int | None, by_option: bool) -> Volume:
    kind, stored = read_stored(path)
    content, chosen = one_volume(path, stored.nifti, echo, by_option)
    image = parse_nifti(path, content)
    spatial = image.shape[:3] + (1,) * (3 - len(image.shape[:3]))
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise InputError(f"{path}: holds {dtype} voxels, wanted plain numbers; convert it to a grey-scale image.")
    try:
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(spatial)
    except (EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: is truncated or damaged ({short(error)}); copy or download it again.") from error
    bad = int(np.count_nonzero(~np.isfinite(data)))
    if bad:
        raise InputError(
            f"{path}: holds {bad} NaN or infinite voxels, wanted finite numbers; replace them, for example with "
            f"numpy.nan_to_num."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if not is_usable(affine):
        raise InputError(
            f"{path}: has an unusable affine {affine.round(3).tolist()}; repair its header (of NIfTI, sform or qform)."
        )
    require_millimetres(path, image)
    warnings = (*stored.warnings, *([chosen] if chosen else []))
    if kind in ("nifti", "nifti_pair"):  # of other formats the header is ours
        warnings = (*orientation_warnings(path, image), *warnings)
    orientation = io_orientation(affine)
    return Volume(
        path=path,
        data=apply_orientation(data, orientation),
        affine=affine @ inv_ornt_aff(orientation, spatial),
        native_affine=affine,
        native_shape=spatial,
        warnings=warnings,
        synthetic=stored.synthetic or b"synthetic" in image.header["descrip"].tobytes(),
        content=content,
        kind=kind,
        head=stored.head,
        tail=stored.tail,
    )


def require_same_grid(volume: Volume, reference: Volume) -> str | None:
    """
    Refuse a mask on another grid than its scan's. In which order the voxels of a grid are stored does not matter:
    converters of DICOM turn axes around.

    Returns:
        a warning where the grids are a hair apart: more than 1e-3 mm at a corner, but less than a hundredth of a voxel.

    Raises:
        InputError: if shapes differ, or corners by more than that; names both files and where they differ.
    """
    apart = _corners_apart(reference.data.shape, volume.affine, reference.affine)
    same, close = CORNER_TOLERANCE
    if volume.data.shape == reference.data.shape and apart <= close * max(1.0, *reference.spacing):
        if apart <= same:
            return None
        return f"{volume.path.name}: its corners lie up to {apart:.4f} mm from the scan's; taken as the same grid."
    other = reference.native_affine
    difference = volume.native_affine - other
    apart = _corners_apart(reference.native_shape, volume.native_affine, other)
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


def _corners_apart(shape: tuple[int, ...], affine: np.ndarray, other: np.ndarray) -> float:
    """Largest distance in mm between the same corners of a grid by two affines."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    return float(np.linalg.norm(np.c_[corners, np.ones(len(corners))] @ (affine - other)[:3].T, axis=1).max())


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
    inside = whole != 0  # sorted without the many zeros
    values = np.unique(np.append(whole[inside], whole[~inside][:1]))
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
    A byte copy of an image file whose voxels can be changed in RAS order.

    Everything that is not changed stays the input's: data type, byte order, slope and intercept, both transforms with
    their codes, extensions; of a file in another format, the other lines of its header. Saving through floats would
    rescale integers and change every voxel.

    Args:
        volume: of :func:`read_volume`; its file is not opened again.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume, self._bytes = volume, bytearray(volume.content)
        image = parse_nifti(volume.path, volume.content)
        header, shape = image.header, volume.native_shape
        count = int(np.prod(shape))
        stored = np.frombuffer(self._bytes, dtype=image.get_data_dtype(), count=count, offset=image.dataobj.offset)
        self._start = int(image.dataobj.offset)
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
        """Write in the file's own format, or as ``.nii`` or ``.nii.gz`` (by the name) where that is not written."""
        volume, content = self._volume, bytes(self._bytes)
        write = FORMATS[volume.kind].write
        if write is not None and volume.kind != "nifti":
            voxels = content[self._start : self._start + self._stored.nbytes]
            content = write(volume.head, volume.tail, voxels, SYNTHETIC_NOTE)
        write_bytes(path, _compressed(content, path))


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
    image = parse_nifti(path, read_whole(path))
    try:
        array = np.asarray(image.dataobj)
    except (EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: is truncated or damaged ({short(error)}); copy or download it again.") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{path}: holds NaN or infinite voxels, wanted finite numbers; make it again.")
    return array


def _compressed(content: bytes, path: str | Path) -> bytes:
    """Compressed where the name says so, the same bytes for the same content."""
    packed = str(path).lower().endswith((".gz", ".mgz"))
    return gzip.compress(content, compresslevel=6, mtime=0) if packed else content

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Reading NIfTI files as they come, and writing back one that differs in the edited voxels alone."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from mededit_monai.errors import InputError

#: Written into the header's description field of every image this package makes.
SYNTHETIC_NOTE = "synthetic (mededit_monai); research use only, not a medical device"

#: The same for slices and volumes that show what a scanner saw.
PREPARED_NOTE = "prepared by mededit_monai; research use only, not a medical device"


#: Values that a mask may hold: binary, and a tumour's labels in new and older releases of BraTS.
BINARY = ((0, 1), (0, 255))
TUMOR_LABELS = ((0, 1, 2, 3), (0, 1, 2, 4))


@dataclass(frozen=True)
class Volume:
    """
    A 3-D image in RAS order.

    Args:
        path: the file.
        data: XxYxZ float32, scaled by the header's slope and intercept.
        affine: voxel (RAS order) → mm, 4x4.
        native_affine, native_shape: as stored.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    native_affine: np.ndarray
    native_shape: tuple[int, ...]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, (x, y, z) in RAS order."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


def read_volume(path: str | Path) -> Volume:
    """
    Read a 3-D NIfTI file and reorient it to RAS (axes permuted and mirrored, never resampled).

    Raises:
        InputError: missing, unreadable or truncated file, not NIfTI, not 3-D ((x, y, z, 1) is), colour or complex
            voxels, NaN or infinite voxels, unusable affine.
    """
    path = Path(path)
    image = _open(path)
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
    except (EOFError, OSError, zlib.error, ValueError) as error:
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
    orientation = io_orientation(affine)
    return Volume(
        path=path,
        data=apply_orientation(data, orientation),
        affine=affine @ inv_ornt_aff(orientation, spatial),
        native_affine=affine,
        native_shape=spatial,
    )


def require_same_grid(volume: Volume, reference: Volume) -> None:
    """
    Raises:
        InputError: if shapes or affines (beyond 1e-2 mm over the image) differ; names both.
    """
    span = np.array([*reference.native_shape, 1.0])
    apart = np.abs((volume.native_affine - reference.native_affine) * span).max()
    if volume.native_shape == reference.native_shape and apart < 1e-2 * max(1.0, float(max(reference.spacing))):
        return
    raise InputError(
        f"{volume.path}: lies on another grid than {reference.path}: shape {volume.native_shape} against "
        f"{reference.native_shape}, affine {volume.native_affine.round(3).tolist()} against "
        f"{reference.native_affine.round(3).tolist()}; resample it onto the scan with nearest-neighbour interpolation."
    )


def label_mask(volume: Volume) -> np.ndarray:
    """
    A tumour's labels as uint8: 1 necrotic core, 2 edema, 3 enhancing (4 in older releases of BraTS).

    Raises:
        InputError: if the values are neither {0, 1, 2, 3} nor {0, 1, 2, 4}, or all are zero.
    """
    inside = binary_mask(volume, TUMOR_LABELS)
    return np.where(inside, np.minimum(volume.data, 3), 0).astype(np.uint8)


def binary_mask(volume: Volume, accepted: tuple[tuple[int, ...], ...] = BINARY) -> np.ndarray:
    """
    A mask's voxels as bool.

    Raises:
        InputError: if the values are not one of the accepted sets, or all are zero.
    """
    values = np.unique(volume.data)
    if not any(set(values.tolist()) <= set(allowed) for allowed in accepted):
        shown = ", ".join(f"{v:g}" for v in values[:8]) + (", …" if len(values) > 8 else "")
        wanted = " or ".join("{" + ", ".join(map(str, a)) + "}" for a in accepted)
        kind = "a binary" if accepted == BINARY else "a usable"
        raise InputError(
            f"{volume.path}: is not {kind} mask: found {len(values)} values ({shown}), wanted {wanted}; threshold it "
            f"and save it without lossy compression."
        )
    if not values.any():
        raise InputError(f"{volume.path}: is empty (every voxel is 0); draw a region of ones in it.")
    return volume.data > 0


class NativeCopy:
    """
    A byte copy of a NIfTI file whose voxels can be changed in RAS order.

    Everything that is not changed stays the input's: data type, byte order, slope and intercept, both transforms with
    their codes, extensions. Saving through floats would rescale integers and change every voxel.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        image = _open(self.path)
        header = image.header
        raw = self.path.read_bytes()
        self._bytes = bytearray(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        shape = image.shape[:3] + (1,) * (3 - len(image.shape[:3]))
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

    def plane(self, index: int) -> np.ndarray:
        """An axial slice in scan units, XxY float64."""
        return self._ras[:, :, index].astype(np.float64) * self.slope + self.inter

    def replace(self, index: int, values: np.ndarray, where: np.ndarray) -> int:
        """
        Store new values (scan units) in part of an axial slice.

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
        self._ras[:, :, index][where] = stored.astype(dtype)
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
        path = Path(path)
        content = bytes(self._bytes)
        if path.name.endswith(".gz"):
            content = gzip.compress(content, compresslevel=6, mtime=0)
        path.write_bytes(content)


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
    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header["descrip"] = note.encode()
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    Path(path).write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if str(path).endswith(".gz") else content)


def is_marked_synthetic(path: str | Path) -> bool:
    """Whether a NIfTI file's description says that the image is synthetic."""
    return b"synthetic" in _open(Path(path)).header["descrip"].tobytes()


def replace_folder(unfinished: Path, final: Path) -> None:
    """Put a finished output folder in place of an older one, as one rename."""
    if final.exists():
        old = final.with_name(f".{final.name}.old")
        _remove(old)
        os.replace(final, old)
        os.replace(unfinished, final)
        _remove(old)
    else:
        os.replace(unfinished, final)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _open(path: Path) -> nib.Nifti1Image:
    if not path.is_file():
        raise InputError(f"{path}: not found; give the path of a NIfTI file (.nii or .nii.gz).")
    try:
        image = nib.load(path)
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as NIfTI ({_short(error)}); wanted a complete .nii or .nii.gz file."
        ) from error
    if not isinstance(image, nib.Nifti1Image) or not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: is {type(image).__name__}, wanted a .nii or .nii.gz file; convert it first.")
    return image


def _short(error: BaseException) -> str:
    return str(error).split("\n")[0][:120]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of real lesion masks (or tumour label maps) in MNI space, read once into a compact library on disk."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import replacing, write_text
from mededit_monai.io.case_names import stem
from mededit_monai.io.formats.directions import axis_names, is_usable
from mededit_monai.io.formats.registry import is_image
from mededit_monai.io.nifti import BINARY, TUMOR_LABELS, Volume, binary_mask, label_mask, read_volume, whole_values
from mededit_monai.io.outputs import make_folder
from mededit_monai.io.whole import read_whole
from mededit_monai.simulation.anatomies import require_distinct

#: Masks larger than this (ml) are left out: more than a hemisphere's infarct, most often a failed segmentation.
LARGEST_ML = 250.0

#: The brain in MNI space, mm, with a margin; at least this share of a mask must lie inside.
MNI_BRAIN = np.array([[-82.0, 82.0], [-118.0, 85.0], [-80.0, 95.0]])
INSIDE_SHARE = 0.8

#: Heights (MNI z, mm) at which the area of every lesion is known.
HEIGHTS = np.arange(-30, 81)

_FORMAT = 4


@dataclass
class LesionLibrary:
    """
    Lesions as packed bits.

    Args:
        folder: of ``index.json`` and ``bits.npy``.
        names: a lesion's name, one each.
        areas: mm² at every height of ``HEIGHTS``, lesions x heights.
        excluded: name → why it was left out.
        labelled: whether a lesion is a tumour's label map (1 core, 2 edema, 3 enhancing), bool, one each.
        warnings: sentences about what headers leave open.
    """

    folder: Path
    names: list[str]
    areas: np.ndarray
    excluded: dict[str, str]
    labelled: np.ndarray
    warnings: list[str]
    _places: list[dict] = field(repr=False)

    def mask(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """
        One lesion on a 1 mm grid along the MNI axes.

        Returns:
            uint8 XxYxZ (0 and 1, or labels), cropped to the lesion, and the MNI mm of its first voxel.
        """
        place = self._places[number]
        bits = np.load(self.folder / "bits.npy", mmap_mode="r")[place["first"] : place["first"] + place["bytes"]]
        shape = (2 if self.labelled[number] else 1, *place["shape"])
        planes = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)
        return planes[0] + 2 * planes[1] if len(planes) == 2 else planes[0], np.array(place["origin"])


def open_library(folder: str | Path, cache: Path, tell: Callable[[int, int], None] | None = None) -> LesionLibrary:
    """
    The library of a folder, read from the cache if the same files were read before.

    Args:
        folder: NIfTI masks in MNI space, binary or tumour labels, any orientation and voxel size.
        cache: where libraries are kept.
        tell: called with (files read, files in all).

    Raises:
        InputError: no such folder, no masks in it, an unreadable mask, one with other values or not in MNI
            space.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of binary lesion masks with --lesions.")
    files = [p for p in sorted(folder.rglob("*")) if is_image(p) and not p.name.startswith(".") and not p.is_dir()]
    if not files:
        raise InputError(
            f"{folder}: holds no NIfTI masks or other images; --lesions wants a folder of binary masks in MNI space, "
            f"or leave it out for drawn lesions."
        )
    require_distinct(files, lambda path: _name(path, folder))
    facts = [[str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    digest = hashlib.sha256(json.dumps([_FORMAT, str(folder.resolve()), facts]).encode()).hexdigest()[:16]
    place = cache / f"lesions_{digest}"
    index = _recall(place)
    if index is None:
        index = _build(files, folder, place, tell)
    kept = index["lesions"]
    areas = np.array([one["areas"] for one in kept], dtype=np.float64).reshape(-1, len(HEIGHTS))
    if not kept:
        raise InputError(
            f"{folder}: none of its {len(files)} masks can be used: {_first(index['excluded'])}; give other masks with "
            f"--lesions."
        )
    labelled = np.array([one["labelled"] for one in kept], dtype=bool)
    names = [one["name"] for one in kept]
    return LesionLibrary(place, names, areas, index["excluded"], labelled, index["warnings"], kept)


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder).with_name(stem(path)))


def _recall(place: Path) -> dict[str, Any] | None:
    """The index of a library; None if it is not there, or either of its files is damaged: then it is made again."""
    try:
        index: dict[str, Any] = json.loads((place / "index.json").read_bytes())
        bits = np.load(place / "bits.npy")
        whole = bits.dtype == np.uint8 and bits.ndim == 1 and zlib.crc32(bits) == index["crc32"]
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return None
    return index if whole else None


def _build(files: list[Path], folder: Path, place: Path, tell: Callable[[int, int], None] | None) -> dict[str, Any]:
    kept, excluded, packed, warnings, first = [], {}, [], [], 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # unpacking gzip releases Python's lock
        for number, (path, (mask, origin, millilitres, odd)) in enumerate(zip(files, pool.map(_read, files))):
            name = _name(path, folder)
            warnings += odd
            if millilitres > LARGEST_ML:
                excluded[name] = f"{millilitres:.0f} ml, at most {LARGEST_ML:.0f} wanted"
            else:
                labelled = bool(mask.max() > 1)
                bits = np.packbits(np.stack([mask & 1, mask >> 1]) if labelled else mask)
                areas = _areas(mask > 0, int(origin[2]))
                one = {"name": name, "ml": round(millilitres, 3), "origin": origin.tolist(), "shape": list(mask.shape)}
                kept.append(one | {"labelled": labelled, "first": first, "bytes": len(bits), "areas": areas})
                packed.append(bits)
                first += len(bits)
            if tell:
                tell(number + 1, len(files))
    bits = np.concatenate(packed) if packed else np.zeros(0, np.uint8)
    index = {"lesions": kept, "excluded": excluded, "warnings": warnings, "crc32": zlib.crc32(bits)}
    make_folder(place)
    with replacing(place / "bits.npy") as unfinished:
        np.save(unfinished, bits)
    write_text(place / "index.json", json.dumps(index))
    return index


def _areas(mask: np.ndarray, lowest: int) -> list[int]:
    """mm² of a mask on 1 mm voxels at every height of ``HEIGHTS``."""
    areas = np.zeros(len(HEIGHTS), dtype=int)
    heights = lowest + np.arange(mask.shape[2]) - HEIGHTS[0]
    valid = (heights >= 0) & (heights < len(HEIGHTS))
    areas[heights[valid]] = mask.sum(axis=(0, 1))[valid]
    return areas.tolist()


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, float, tuple[str, ...]]:
    """
    A mask (uint8, 0 and 1, or labels) on 1 mm voxels along the MNI axes, MNI mm of its first voxel, volume in ml, and
    what its header leaves open.
    """
    voxels, affine, warnings = mask_voxels(path)
    found = set_voxels(voxels)
    labels = voxels[tuple(found.T)].astype(np.uint8)
    points = found @ affine[:3, :3].T + affine[:3, 3]
    inside = inside_mni(points, path)
    millilitres = len(points) * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    points, labels = points[inside], labels[inside]
    # Voxels larger than 1 mm fill all the millimetres they cover.
    spread = [np.arange(s) - (s - 1) / 2 for s in np.maximum(1, np.ceil(np.abs(affine[:3, :3]).sum(axis=1) - 0.1))]
    offsets = np.stack(np.meshgrid(*spread, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = np.floor(points[:, None] + offsets + 0.5).astype(int).reshape(-1, 3)
    origin = cells.min(axis=0)
    mask = np.zeros(cells.max(axis=0) - origin + 1, dtype=np.uint8)
    mask[tuple((cells - origin).T)] = np.repeat(labels, len(offsets))
    return mask, origin, millilitres, warnings


def inside_mni(points: np.ndarray, path: Path) -> np.ndarray:
    """
    Which voxels of a mask lie in the MNI brain and its margin, N bool.

    Args:
        points: mm, Nx3.

    Raises:
        InputError: fewer than ``INSIDE_SHARE`` of them.
    """
    inside: np.ndarray = ((points >= MNI_BRAIN[:, 0]) & (points <= MNI_BRAIN[:, 1])).all(axis=1)
    if inside.mean() < INSIDE_SHARE:
        middle = np.round(points.mean(axis=0)).astype(int).tolist()
        raise InputError(
            f"{path}: is not in MNI space: {inside.mean():.0%} of the mask lies in the MNI brain (centre {middle} mm), "
            f"wanted at least {INSIDE_SHARE:.0%}; register it to the MNI 152 template, or repair its affine."
        )
    return inside


def set_voxels(voxels: np.ndarray) -> np.ndarray:
    """Indices of what is not 0, Nx3, in the order of memory."""
    order = "F" if voxels.flags.f_contiguous else "C"
    places = np.flatnonzero(voxels.ravel(order=order))
    return np.stack(np.unravel_index(places, voxels.shape, order=order), 1)


def mask_voxels(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """A mask's voxels, affine and warnings; the quick way for plain bytes, the careful way for everything else."""
    try:
        image = nib.Nifti1Image.from_bytes(read_whole(path))
        if image.get_data_dtype() == np.uint8 and len(image.shape) == 3 and float(image.dataobj.slope) == 1:
            data = np.asarray(image.dataobj)
            if data.max() == 1 and is_usable(image.affine) and _is_clear(image.header):
                return data.view(bool), np.asarray(image.affine), ()
    except Exception:  # noqa: BLE001, S110 - the careful reader below says what is wrong
        pass
    volume = read_volume(path)
    return mask_or_labels(volume), volume.affine, volume.warnings


def mask_or_labels(volume: Volume) -> np.ndarray:
    """
    A mask's voxels, XxYxZ: bool, or uint8 labels (1 core, 2 edema, 3 enhancing) where it holds more than one.

    Raises:
        InputError: neither a mask nor a tumour's label map, or empty.
    """
    inside = binary_mask(volume, (*BINARY, *TUMOR_LABELS))
    return label_mask(volume) if 1 < whole_values(volume).max() < 255 else inside


def _is_clear(header: nib.Nifti1Header) -> bool:
    """Whether a header leaves nothing open about directions and lengths."""
    forms = [header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]]
    sides = {axis_names(form) for form in forms if form is not None}
    return len(sides) == 1 and header.get_xyzt_units()[0] in ("mm", "unknown")


def _first(excluded: dict[str, str]) -> str:
    return "; ".join(f"{name} has {why}" for name, why in list(excluded.items())[:1])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small heads in NIfTI files of every kind that there is, and of some that there should not be."""

from __future__ import annotations

import gzip
import itertools
import math
import random
from dataclasses import dataclass, fields
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(["RL", "AP", "SI"]) for codes in itertools.product(*axes)
]

#: Voxels a side, their sizes in mm, and the largest volume of a whole image in ml: a brain has at most 2300.
SIDES, VOXELS, LARGEST_ML = (10, 13, 24, 31, 40, 48, 64, 96), (0.3, 0.5, 1.0, 1.2, 2.0, 3.3, 5.0), 4000

#: Names of files and folders that somebody has.
NAMES = [
    "scan",
    "T1 (1)",
    "naïve Größe",
    "$T1",
    "%scan",
    "a@b#c",
    "-x",
    "脳",
    "'quoted'",
    '"q"',
    "2026",
    "null",
    "x" * 120,
]

#: What is wrong with a file, and the words of which one must be in the sentence about it.
FAULTS: dict[str, tuple[str, ...]] = {
    "truncated": ("truncated", "damaged", "cannot be read"),
    "flipped bytes": ("truncated", "damaged", "cannot", "unusable", "NaN", "wanted", "is ", "has ", "holds", "grid"),
    "empty file": ("truncated", "damaged", "cannot be read", "empty"),
    "text": ("cannot be read", "damaged", "truncated", "is no NIfTI"),
    "NaN": ("NaN or infinite",),
    "infinite": ("NaN or infinite",),
    "constant": ("constant", "no positive voxel", "skull-stripped", "more than a brain", "outside the brain"),
    "negative": ("negative", "no positive voxel"),
    "mirrored qform": ("mirror",),
    "singular": ("unusable affine",),
    "metres": ("meter", "lengths in"),
    "colour": ("voxels", "numbers"),
    "four dimensions": ("dimensions", "volumes", "echo"),
    "mask on another grid": ("another grid",),
    "mask empty": ("is empty",),
    "mask outside": ("outside the brain",),
    "mask of grey values": ("not a binary mask", "mask"),
    "mask is the brain": ("covers", "far too much"),
    "missing": ("not found",),
}


@dataclass(frozen=True)
class Spec:
    """
    A case: scan, brain mask and lesion mask.

    Args:
        shape, spacing: of the grid in RAS order, mm; orientation: of the voxels on disk.
        oblique: degrees about the z axis; dtype, slope, zero (what is stored for 0), big_endian: of the scan.
        forms: which of sform and qform are set.
        container: ``.nii.gz``, ``.nii``; stripped: whether no brain mask is given.
        mask_kind: how a good mask is stored.
        name: of folder and scan.
        fault: see ``FAULTS``; None: the edit must succeed.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: str
    oblique: float
    dtype: str
    slope: float
    zero: int
    big_endian: bool
    forms: str
    container: str
    stripped: bool
    mask_kind: str
    name: str
    fault: str | None


def spec_of(seed: int, faulty: bool | None = None) -> Spec:
    """A case by chance, the same of the same seed; one in three has a fault, unless it is said whether it should."""
    rng = random.Random(seed)
    faulty = rng.random() < 1 / 3 if faulty is None else faulty
    shape, spacing = (0, 0, 0), (1.0, 1.0, 1.0)
    while not 0 < math.prod(shape) * math.prod(spacing) < LARGEST_ML * 1000:
        shape = (rng.choice(SIDES), rng.choice(SIDES), rng.randint(1, 24))
        spacing = (rng.choice(VOXELS), rng.choice(VOXELS), rng.choice(VOXELS))
    if rng.random() < 0.02:
        shape, spacing = (512, 12, 3), (0.5, 0.5, 1.0)
    return Spec(
        shape=shape,
        spacing=spacing,
        orientation=rng.choice(ORIENTATIONS),
        oblique=rng.choice([0.0, 0.0, 7.0, 33.0]),
        dtype=rng.choice(["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"]),
        slope=rng.choice([1.0, 1.0, 0.5, 13.895, 1e-3]),
        zero=rng.choice([0, 0, 0, 4]),
        big_endian=rng.random() < 0.5,
        forms=rng.choice(["both", "sform", "qform", "slightly apart"]),
        container=rng.choice([".nii.gz", ".nii"]),
        stripped=rng.random() < 0.5,
        mask_kind=rng.choice(["u1", "255", "f4", "almost"]),
        name=rng.choice(NAMES),
        fault=rng.choice(sorted(FAULTS)) if faulty else None,
    )


def write(spec: Spec, folder: Path) -> dict[str, str]:
    """Write a case's files; a datalist's keys and paths."""
    folder = folder / spec.name
    folder.mkdir(parents=True)
    value, brain, lesion = _arrays(spec)
    paths = {key: folder / f"{name}{spec.container}" for key, name in _names(spec).items()}
    paths["scan"].write_bytes(_damaged(spec, _packed(_scan(spec, value), spec.container)))
    paths["pathology"].write_bytes(_packed(_lesion(spec, lesion, brain), spec.container))
    if not spec.stripped:
        paths["brain"].write_bytes(_packed(_image(spec, brain.astype("u1"), plain=True), spec.container))
    else:
        del paths["brain"]
    if spec.fault == "missing":
        paths["pathology"].unlink()
    return {key: str(path) for key, path in paths.items()}


def _names(spec: Spec) -> dict[str, str]:
    return {"scan": spec.name, "pathology": f"{spec.name}_lesion", "brain": f"{spec.name}_brain"}


def _arrays(spec: Spec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intensities 40 … 200 in a brain (around it 0, or a noisy head where a mask is given), brain and lesion; RAS."""
    ends = [(np.arange(n) - (n - 1) / 2) / max(1.0, n / 2) for n in spec.shape]
    x, y, z = np.meshgrid(*ends, indexing="ij")
    flat = spec.shape[2] < 4
    brain = x**2 + y**2 + (0 if flat else z**2) < 0.72
    rng = np.random.default_rng(sum(spec.shape))
    value = np.where(np.abs(x) < 0.15, 45, 140) + rng.integers(-20, 20, spec.shape)
    value = np.where(brain, value, 0 if spec.stripped else rng.integers(1, 240, spec.shape))
    lesion = brain & ((x - 0.4) ** 2 + (y / 1.2) ** 2 + (0 if flat else z**2) < 0.08)
    if not lesion.any():
        lesion[tuple(np.argwhere(brain & (x > 0.2))[0])] = True
    return value, brain, lesion


def _affine(spec: Spec) -> np.ndarray:
    angle = np.deg2rad(spec.oblique)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spec.spacing)
    affine[:3, 3] = (-40, 30, 12)
    return affine


def _image(spec: Spec, data: np.ndarray, plain: bool = False, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    affine = _affine(spec) if affine is None else affine
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(spec.orientation))
    image = nib.Nifti1Image(data, affine, dtype=data.dtype).as_reoriented(turn)
    stored = np.asarray(image.dataobj)
    header = nib.Nifti1Header(endianness=">" if spec.big_endian and not plain else "<")
    header.set_data_dtype(stored.dtype)
    made = nib.Nifti1Image(stored, image.affine, header, dtype=stored.dtype)
    forms = {"both": (1, 2), "sform": (1, 0), "qform": (0, 1), "slightly apart": (1, 1)}[
        "both" if plain else spec.forms
    ]
    made.set_sform(image.affine, code=forms[0])
    near = image.affine.copy()
    near[0, 3] += 4e-4 if not plain and spec.forms == "slightly apart" else 0
    made.set_qform(near, code=forms[1])
    return made


def _scan(spec: Spec, value: np.ndarray) -> nib.Nifti1Image:
    value = value.astype(np.float64)
    if spec.fault == "constant":
        value[:] = 7
    elif spec.fault == "negative":
        value = -value
    dtype = np.dtype(spec.dtype)
    if spec.fault == "negative" and dtype.kind == "u":
        dtype = np.dtype("i2")
    if spec.fault in ("NaN", "infinite"):
        dtype = np.dtype("f4")
        value[tuple(n // 2 for n in value.shape)] = np.nan if spec.fault == "NaN" else np.inf
    # Whole numbers are stored as they are, and mean that times the slope: any scale of intensities is some scanner's.
    slope, zero = (spec.slope, spec.zero) if dtype.kind in "iu" else (1.0, 0)
    affine = _affine(spec)
    if spec.fault == "colour":
        stored = np.zeros(value.shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
        return nib.Nifti1Image(stored, affine)
    if spec.fault == "four dimensions":
        return nib.Nifti1Image(np.stack([value] * 2, axis=-1).astype("f4"), affine)
    image = _image(spec, (value + zero).astype(dtype))
    if dtype.kind in "iu":
        image.header.set_slope_inter(slope, -zero * slope)
    if spec.fault == "mirrored qform":
        mirrored = image.affine @ np.diag([-1.0, 1, 1, 1])
        image.set_sform(image.affine, code=1)
        image.set_qform(mirrored, code=1)
    if spec.fault == "singular":
        singular = image.affine.copy()
        singular[:3, 0] = 0
        image.header["sform_code"], image.header["qform_code"] = 1, 0
        for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
            image.header[name] = singular[row]
    if spec.fault == "metres":
        image.header.set_xyzt_units("meter")
    return image


def _lesion(spec: Spec, lesion: np.ndarray, brain: np.ndarray) -> nib.Nifti1Image:
    mask = lesion.astype("u1")
    if spec.fault == "mask empty":
        mask[:] = 0
    elif spec.fault == "mask outside":
        mask = (~brain).astype("u1")
    elif spec.fault == "mask is the brain":
        mask = brain.astype("u1")
    elif spec.fault == "mask of grey values":
        mask = np.where(lesion, 37 + np.arange(mask.size).reshape(mask.shape) % 5, 0).astype("u1")
    elif spec.fault == "mask on another grid":
        affine = _affine(spec)
        affine[:3, 3] += 20
        return _image(spec, mask, plain=True, affine=affine)
    elif spec.mask_kind == "255":
        mask = mask * 255
    elif spec.mask_kind in ("f4", "almost"):
        mask = mask.astype("f4") * np.float32(0.9999 if spec.mask_kind == "almost" else 1)
    return _image(spec, mask, plain=True)


def _packed(image: nib.Nifti1Image, container: str) -> bytes:
    content = image.to_bytes()
    return gzip.compress(content, 1) if container == ".nii.gz" else content


def _damaged(spec: Spec, content: bytes) -> bytes:
    if spec.fault == "truncated":
        return content[: len(content) * 2 // 3]
    if spec.fault == "empty file":
        return b""
    if spec.fault == "text":
        return b"case_id,age\na,71\n" * 30
    if spec.fault == "flipped bytes":
        rng, damaged = np.random.default_rng(len(content)), bytearray(content)
        for place in rng.integers(0, min(len(damaged), 348), 24):
            damaged[place] ^= int(rng.integers(1, 256))
        return bytes(damaged)
    return content


def described(spec: Spec) -> dict[str, str]:
    """A case for a report."""
    return {one.name: str(getattr(spec, one.name)) for one in fields(spec)}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that others drew: one by its name, or one of a folder at random."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import Disease
from mededit_monai.io.formats.registry import files_of, image_sha256, is_image
from mededit_monai.lesions.territories import shares_of, side_of
from mededit_monai.lesions.wanted import Wanted
from mededit_monai.simulation.lesion_library import LARGEST_ML, inside_mni, mask_voxels, set_voxels


@dataclass(frozen=True, eq=False)
class GivenMask:
    """
    Args:
        voxels: bool or labels (uint8), XxYxZ; affine: voxel → mm of its space.
        warnings: what its header leaves open.
    """

    path: Path
    voxels: np.ndarray
    affine: np.ndarray
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MaskFacts:
    """Of a mask in MNI space: ml, side (``both`` if it crosses the midline), and the territory of most of it."""

    ml: float
    side: str
    territory: str


def read_mask(path: str | Path, in_mni: bool) -> GivenMask:
    """
    Read a mask.

    Raises:
        InputError: unreadable, no mask, empty, or not in MNI space where that is said.
    """
    path = user_path(path)
    voxels, affine, warnings = mask_voxels(path)
    if in_mni:
        inside_mni(_millimetres(voxels, affine), path)
    return GivenMask(path, voxels, affine, warnings)


def random_mask(wanted: Wanted, disease: Disease, seed: int) -> tuple[GivenMask, MaskFacts]:
    """
    One of a folder's masks that is as wanted, each with the same chance; those of more than 250 ml are left out.

    Args:
        wanted: ``folder``, and perhaps ``stratum``, ``side``, ``territory``, ``volume_ml``.
        seed: the same seed and folder give the same mask.

    Raises:
        InputError: no such folder, no masks in it, one that is none, or none that is as wanted.
    """
    folder = user_path(str(wanted.folder))
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of lesion masks in MNI space.")
    files = masks_in(folder)
    if not files:
        raise InputError(f"{folder}: holds no NIfTI masks (.nii, .nii.gz), wanted lesion masks in MNI space.")
    for number in np.random.default_rng(seed).permutation(len(files)):
        path = files[number]
        facts = mask_facts(path)
        if _fits(facts, wanted, disease):
            return read_mask(path, in_mni=True), facts
    said = ", ".join(f"{name} {value}" for name, value in wanted.asked().items() if name != "folder")
    more = wanted.volume_ml is not None and wanted.volume_ml[1] > LARGEST_ML
    limits = ", ".join([*([said] if said else []), *([f"at most {LARGEST_ML:g} ml"] if more or not said else [])])
    raise InputError(
        f"{folder}: none of its {len(files)} masks is as wanted ({limits}); ask for less, or give other masks."
    )


def masks_in(folder: Path) -> list[Path]:
    """Images below a folder in the order of their names."""
    found = (path for path in sorted(folder.rglob("*")) if is_image(path) and not path.name.startswith("."))
    return [path for path in found if not path.is_dir()]


def folder_state(wanted: Wanted) -> dict[str, str]:
    """What tells a folder of masks from one with others, by names and bytes, for a request; else nothing."""
    if not wanted.folder or not user_path(wanted.folder).is_dir():
        return {}
    folder = user_path(wanted.folder)
    listed = [[path.relative_to(folder).as_posix(), _digest(path, _state(path))] for path in masks_in(folder)]
    return {"folder_sha256": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}


def mask_facts(path: Path) -> MaskFacts:
    """
    Look at a mask in MNI space, once while its files stay as they are.

    Raises:
        InputError: as :func:`read_mask`.
    """
    return _facts(path, _state(path))


def _state(path: Path) -> tuple[tuple[int, int], ...]:
    """Size and time of change of a mask's files: for one process to know that it has read them before, no longer."""
    return tuple((state.st_size, state.st_mtime_ns) for state in (file.stat() for file in files_of(path)))


@lru_cache(maxsize=20_000)
def _digest(path: Path, state: tuple[tuple[int, int], ...]) -> str:
    return image_sha256(path)


@lru_cache(maxsize=20_000)
def _facts(path: Path, state: tuple[tuple[int, int], ...]) -> MaskFacts:
    given = read_mask(path, in_mni=True)
    points = _millimetres(given.voxels, given.affine)
    ml = len(points) * abs(float(np.linalg.det(given.affine[:3, :3]))) / 1000
    return MaskFacts(ml, side_of(points[:, 0]), next(iter(shares_of(points))))


def _fits(facts: MaskFacts, wanted: Wanted, disease: Disease) -> bool:
    least, most = wanted.volume_ml or (0.0, LARGEST_ML)
    return (
        least <= facts.ml <= min(most, LARGEST_ML)
        and wanted.stratum in (None, disease.stratum_of_volume(facts.ml))
        and wanted.side in (None, facts.side)
        and wanted.territory in (None, facts.territory)
    )


def _millimetres(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    found: np.ndarray = set_voxels(voxels) @ affine[:3, :3].T + affine[:3, 3]
    return found

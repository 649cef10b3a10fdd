# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small images in every format, written by nibabel and ITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SHAPE = (4, 5, 6)


def turned(degrees: float = 0.0, left_handed: bool = False, spacing: tuple[float, ...] = (1.0, 2.0, 3.0)) -> np.ndarray:
    """Voxel → RAS mm of axes turned about z and then x, the third one perhaps mirrored."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_z, about_x = [[c, -s, 0], [s, c, 0], [0, 0, 1]], [[1, 0, 0], [0, c, -s], [0, s, c]]
    affine = np.eye(4)
    affine[:3, :3] = np.array(about_x) @ about_z @ np.diag(spacing)
    affine[:3, 2] *= -1 if left_handed else 1
    affine[:3, 3] = -11.5, 7.25, 40.0
    return affine


#: Grids whose axes say little: straight, oblique, and oblique and left-handed.
AFFINES = {"straight": turned(), "oblique": turned(20.0), "left-handed": turned(20.0, left_handed=True)}


def voxels(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Every voxel another value, so that no two places can be mistaken."""
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


def itk_image(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """An image of ITK, which counts its axes from the slowest and its mm along LPS."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetSpacing([float(side) for side in spacing])
    image.SetOrigin([float(part) for part in lps[:3, 3]])
    return image


def write_itk(path: Path, array: np.ndarray, affine: np.ndarray, compressed: bool = False) -> Path:
    """A file of the format that its name says."""
    sitk.WriteImage(itk_image(array, affine), str(path), useCompression=compressed)
    return path


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine (RAS) as ITK understands a file."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def write_dicom(folder: Path, array: np.ndarray, affine: np.ndarray, **facts: str) -> Path:
    """A DICOM series, a file a slice; facts: ``uid``, ``description``, ``echo``, ``start`` (of the files' names)."""
    folder.mkdir(parents=True, exist_ok=True)
    start = facts.get("start", "slice")
    for k in range(array.shape[2]):
        here = affine.copy()
        here[:3, 3] = affine[:3, 3] + k * affine[:3, 2]
        image = itk_image(array[:, :, k : k + 1], here)
        tags = {"0008|0060": "MR", "0020|000d": "1.2.3", "0020|0011": "4", "0020|0013": str(k + 1)}
        tags |= {"0020|000e": facts.get("uid", "1.2.3.4"), "0008|103e": facts.get("description", "T1 mprage")}
        tags |= {"0018|0086": facts["echo"]} if "echo" in facts else {}
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(f"{folder}/{start}_{k:02d}.dcm")
        writer.Execute(image)
    return folder

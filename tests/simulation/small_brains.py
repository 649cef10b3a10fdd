# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small label maps, scans and lesion masks on disk, for the simulator's tests."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

SHAPE, SPACING = (64, 76, 64), 2.0


def label_array(scale: float = 1.0) -> np.ndarray:
    """FreeSurfer labels of an egg-shaped brain, RAS, 2 mm: cortex, white matter, ventricles, thalamus, fluid around."""
    grid = [(np.arange(n) - (n - 1) / 2) * SPACING / scale for n in SHAPE]
    x, y, z = np.meshgrid(*grid, indexing="ij")

    def ball(cx: float, cy: float, cz: float, rx: float, ry: float, rz: float) -> np.ndarray:
        return ((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1

    labels = np.zeros(SHAPE, np.int16)
    right = x > 0
    labels[ball(0, 0, 0, 60, 72, 58)] = 24
    cortex = ball(0, 0, 0, 56, 68, 54) & ~(np.abs(x) < 1.5)
    labels[cortex] = np.where(right, 42, 3)[cortex]
    white = ball(0, 0, 0, 50, 60, 47) & (np.abs(x) > 3)
    labels[white] = np.where(right, 41, 2)[white]
    thalamus = ball(10, -6, -4, 8, 12, 9)
    labels[thalamus] = np.where(right, 49, 10)[thalamus]
    ventricle = ball(12, 0, 12, 7, 24, 9)
    labels[ventricle] = np.where(right, 43, 4)[ventricle]
    return labels


def save(array: np.ndarray, path: Path, axcodes: str = "RAS") -> Path:
    """Write a volume with the small head's grid in an orientation."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * SPACING
    image = nib.Nifti1Image(array, affine)
    image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(axcodes)))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def label_maps(folder: Path, count: int = 4) -> Path:
    """A folder of label maps in different sizes and orientations."""
    for k in range(count):
        save(label_array(0.92 + 0.03 * k), folder / f"brain_{k}.nii.gz", ("RAS", "LIA", "LPS", "PSR")[k % 4])
    return folder


def t1_array(labels: np.ndarray) -> np.ndarray:
    """A T1-like scan of the labels, float32."""
    rng = np.random.default_rng(0)
    value = np.zeros(labels.shape, np.float32)
    for numbers, mean in (((2, 41), 800), ((3, 42, 10, 49), 560), ((4, 43, 24), 150)):
        value[np.isin(labels, numbers)] = mean
    return np.where(labels > 0, value + 15 * rng.standard_normal(labels.shape), 0).astype(np.float32)


def lesion_masks(folder: Path, count: int = 10) -> Path:
    """Balls in MNI space, 1 mm, radius 5 to 16 mm, on both sides."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (140, 180, 120)
    affine = np.eye(4)
    affine[:3, 3] = (-70, -106, -40)
    grid = np.meshgrid(*(np.arange(n) + o for n, o in zip(shape, affine[:3, 3])), indexing="ij")
    for k in range(count):
        centre = ((-38, 38)[k % 2], -40 + 10 * k, 20 + 2 * k)
        mask = sum((g - c) ** 2 for g, c in zip(grid, centre)) < (5 + 1.2 * k) ** 2
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / f"lesion_{k}.nii.gz")
    return folder

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A round brain with a tumour of three parts as a label map, in any orientation; and a small cohort of such heads."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

MODALITIES = ("t1", "t1ce", "t2", "flair")


def label_array(shape=(70, 80, 60), spacing=(2.5, 2.0, 2.5), brain: bool = True) -> np.ndarray:
    """Labels 1 to 3 in the right hemisphere and 4 around them, RAS order."""
    grid = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing)), indexing="ij")
    inside = (grid[0] / 62) ** 2 + (grid[1] / 74) ** 2 + (grid[2] / 56) ** 2 < 1
    away = np.sqrt((grid[0] - 26) ** 2 + (grid[1] - 6) ** 2 + (grid[2] - 8) ** 2)
    tumor = np.select([away < 8, away < 13, away < 20], [1, 3, 2], 0)
    return np.where(inside & (tumor == 0), 4 if brain else 0, tumor * inside).astype(np.uint8)


def write_label(path: Path, labels: np.ndarray, spacing=(2.5, 2.0, 2.5), axcodes: str = "RAS") -> Path:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-80, -75, -70)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(axcodes))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, affine).as_reoriented(turn), path)
    return path


def write_heads(
    folder: Path, side: int = 16, counts: tuple[int, int] = (4, 2), depth: int | None = None, step: float = 1.0
) -> Path:
    """Volumes on a small grid of so many mm whose modalities follow from their labels; the datalist."""
    rng, lists, affine = np.random.default_rng(0), {}, np.diag([step, step, step, 1.0])
    levels = {"t1": (0, 0.3, 0.4, 0.5, 0.7), "t1ce": (0, 0.3, 0.4, 1, 0.7), "t2": (0, 0.9, 0.8, 0.6, 0.4)}
    levels |= {"flair": (0, 0.3, 0.9, 0.7, 0.5)}
    for split, count in zip(("training", "validation"), counts):
        lists[split] = []
        for k in range(count):
            shape = (side, side, depth or side)
            grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
            away = np.sqrt((grid[0] - rng.uniform(-0.3, 0.3)) ** 2 + grid[1] ** 2 + grid[2] ** 2)
            labels = np.select([away < 0.2, away < 0.3, away < 0.45], [1, 3, 2], 4) * (
                sum(g**2 for g in grid) < 0.8
            ).astype(int)
            entry = {"case_id": f"{split}_{k}", "label": f"{split}_{k}_label.nii.gz"}
            nib.save(nib.Nifti1Image(labels.astype(np.uint8), affine), folder / entry["label"])
            for name in MODALITIES:
                image = np.take(levels[name], labels) + 0.02 * rng.standard_normal(shape) * (labels > 0)
                entry[name] = f"{split}_{k}_{name}.nii.gz"
                nib.save(nib.Nifti1Image(image.clip(0, 1).astype(np.float32), affine), folder / entry[name])
            lists[split].append(entry)
    (folder / "datalist.json").write_text(json.dumps(lists))
    return folder / "datalist.json"

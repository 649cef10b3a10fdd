# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small pairs whose scan is moved by a known displacement, on disk as the simulator writes them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.io.displacement import write_displacement
from mededit_monai.space.flow import exponentiate, warp

PIXEL = 233 / 128


def planes(size: tuple[int, ...], k: int = 0) -> dict[str, np.ndarray]:
    """
    A ball of brain with a lesion right of its middle and tissue that is pushed to the left, nxS or S each.

    ``displacement`` in mm; ``image`` is the displaced scan with 0.1 in the lesion.
    """
    grids = np.stack(np.meshgrid(*[np.arange(side, dtype=float) for side in size], indexing="ij"))
    middle = np.array([side / 2 for side in size]).reshape(-1, *[1] * len(size))
    away = np.sqrt(((grids - middle) ** 2).sum(axis=0))
    brain = away < 0.42 * min(size)
    offset = np.zeros_like(middle)
    offset[0] = 5 + k % 3
    lesion = np.sqrt(((grids - middle - offset) ** 2).sum(axis=0)) < 4
    velocity = np.zeros((len(size), *size), np.float32)
    velocity[0] = (1.5 + 0.2 * k) * np.exp(-((away / 7) ** 2)) * (away < 0.3 * min(size))
    pull = exponentiate(velocity)
    prior = np.where(brain, 0.5 + 0.3 * np.sin(grids.sum(axis=0) / 3), 0).astype(np.float32)
    image = np.where(lesion, 0.1, warp(prior[None], pull)[0] * brain).astype(np.float32)
    found = {"image": image, "prior": prior, "brain": brain, "prior_brain": brain, "pathology": lesion}
    return found | {"displacement": pull * np.float32(PIXEL)}


def moved_pairs(folder: Path, size: tuple[int, ...], count: int = 6, regions: bool = False) -> Path:
    """Some cases, two thirds to train on; returns the datalist."""
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([PIXEL, PIXEL, PIXEL if len(size) == 3 else 1.0, 1.0])
    entries = []
    for k in range(count):
        case = {"case_id": f"case{k}", "global_atrophy": 0.5 if k == 1 else 0.0}
        made = planes(size, k)
        if regions:
            made["regions"] = 2 * made["pathology"]
        for key, plane in made.items():
            path = folder / f"{key}_{k}.nii.gz"
            if key == "displacement":
                write_displacement(path, plane, affine, step_mm=0.001)
            else:
                plane = plane.astype(np.float32 if key in ("image", "prior") else np.uint8)
                nib.save(nib.Nifti1Image(plane if plane.ndim == 3 else plane[..., None], affine), path)
            case[key] = path.name
        entries.append(case)
    path, cut = folder / "datalist.json", 2 * count // 3
    path.write_text(json.dumps({"training": entries[:cut], "validation": entries[cut:]}), encoding="utf-8")
    return path

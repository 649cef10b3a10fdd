# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A cohort of small squares, a little like brains: white matter in gray matter and fluid, two ventricles, a lesion."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np


def case(size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One pair: images in [0, 1], masks; the lesion (tumour: rings of 1, 2, 3) lies right."""
    x, y = np.meshgrid(*(np.arange(size) - (size - 1) / 2,) * 2, indexing="ij")
    unit = size / 32
    brain = np.hypot(x, y) < 14 * unit
    left = np.hypot(x + 4 * unit, y) < 2.5 * unit
    right = np.hypot(x - 4 * unit, y) < 2.5 * unit
    ventricles = left + 2 * right
    radius = np.hypot(x - 8 * unit, y - rng.uniform(5, 7) * unit)
    regions = np.select([radius < 1.5 * unit, radius < 2.5 * unit, radius < 3.5 * unit], [1, 3, 2], 0)
    depth = 14 - np.hypot(x, y) / unit
    clean = np.select([ventricles > 0, depth < 1, depth < 3], [0.15, 0.15, 0.55], 0.8)
    prior = (clean + 0.02 * rng.standard_normal(brain.shape)) * brain
    image = np.where((regions > 0) & (ventricles == 0), 0.3 + 0.1 * regions, prior) * brain
    planes = {"image": image.clip(0, 1), "prior": prior.clip(0, 1), "brain": brain, "prior_brain": brain}
    planes |= {"pathology": regions > 0, "regions": regions, "ventricles": ventricles, "prior_ventricles": ventricles}
    tissue = np.select([(ventricles > 0) | ~brain, depth < 1, depth < 3], [0, 1, 2], 3)
    planes |= {"tissue": np.where(regions > 0, 0, tissue), "prior_tissue": tissue}
    return planes


def write_cohort(
    folder: Path, disease: str = "stroke", counts=(6, 2, 4), size: int = 32, pixel_mm: float = 2.0, depth: int = 1
) -> Path:
    """Write a cohort with the layout of ``mededit simulate``; two anatomies a split. Volumes repeat their slice."""
    rng = np.random.default_rng(0)
    lists: dict = {}
    members = {}
    for split, count in zip(("training", "validation", "testing"), counts):
        lists[split], members[split] = [], [f"{split}_brain_{k}" for k in range(2)]
        for k in range(count):
            name = f"{split}_{k:05d}"
            (folder / name).mkdir(parents=True)
            entry = {"case_id": name, "split": split, "anatomy": members[split][k % 2], "stratum": "medium"}
            for key, plane in case(size, rng).items():
                if key == "regions" and disease == "stroke":
                    continue
                dtype = np.float32 if key in ("image", "prior") else np.uint8
                affine = np.diag([pixel_mm, pixel_mm, 1.0, 1.0])
                volume = np.repeat(plane.astype(dtype)[..., None], depth, axis=2)
                nib.save(nib.Nifti1Image(volume, affine), folder / name / f"{key}.nii")
                entry[key] = f"{name}/{key}.nii"
            lists[split].append(entry)
    recipe = {"disease": disease, "spatial_dims": 2 if depth == 1 else 3}
    content = {"recipe": recipe, "anatomies": members, **lists}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A datalist of small squares with a lesion each, and what makes a training on them short."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}
TOY = {"batch_size": 2, "max_epochs": 1, "preview_interval": 0, "progress": False, **NETWORK}


def small_cases(folder: Path, name: str = "datalist.json", ending: str = ".nii.gz") -> Path:
    """Four cases, two to train on; returns the datalist."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, entries = np.random.default_rng(0), []
    for k in range(4):
        planes = {"image": rng.uniform(0, 1, (16, 16, 1)), "brain": np.ones((16, 16, 1))}
        planes["pathology"] = np.zeros((16, 16, 1))
        planes["pathology"][4:7, 4:7] = 1
        for key, plane in planes.items():
            nib.save(nib.Nifti1Image(plane.astype(np.float32), np.eye(4)), folder / f"{key}_{k}{ending}")
        entries.append({"case_id": f"case{k}", **{key: f"{key}_{k}{ending}" for key in planes}})
    path = folder / name
    path.write_text(json.dumps({"training": entries[:2], "validation": entries[2:]}), encoding="utf-8")
    return path

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Slices of 16x16 whose lesion is a bright square, as a cohort; and copies of them that say that they are edits."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.io.hashing import sha256

SIDE = 16


def square(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image with the square, the same without, and the square; XxYx1."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE, 1), np.uint8)
    x, y = rng.integers(1, 9, 2)
    mask[x : x + 6, y : y + 6] = 1
    prior = (0.3 + 0.03 * rng.standard_normal(mask.shape)).astype(np.float32)
    return prior + np.float32(0.5) * mask, prior, mask


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


def write_cohort(folder: Path, patients: int = 6, each: int = 1, testing: int = 2) -> Path:
    """Cases p0_0, p0_1, …, each with image, prior, brain and pathology; the last patients are the test list."""
    lists: dict[str, list[dict]] = {"training": [], "testing": []}
    for patient in range(patients):
        split = "testing" if patient >= patients - testing else "training"
        for number in range(each):
            name = f"p{patient}_{number}"
            image, prior, mask = square(10 * patient + number)
            arrays = {"image": image, "prior": prior, "pathology": mask, "brain": np.ones_like(mask)}
            files = {key: save(folder / name / f"{key}.nii", array) for key, array in arrays.items()}
            entry = {"case_id": name, "patient": f"p{patient}", "split": split}
            lists[split].append(entry | {key: str(path.relative_to(folder)) for key, path in files.items()})
    (folder / "datalist.json").write_text(json.dumps({"name": "toy", "synthetic": False, **lists}))
    return folder


def write_edits(folder: Path, cohort: Path, pairs: dict[str, tuple[str, str]]) -> Path:
    """
    What an edit leaves, as far as a downstream experiment reads it.

    Args:
        pairs: name → the cases whose scan and whose mask it is made of.
    """
    for number, (name, (scan, mask)) in enumerate(pairs.items()):
        files = {"scan": cohort / scan / "prior.nii", "pathology": cohort / mask / "pathology.nii"}
        prior, lesion = (np.asarray(nib.load(path).dataobj) for path in files.values())
        save(folder / name / "edited.nii.gz", prior + np.float32(0.45) * lesion)
        facts = {"synthetic": True, "options": {"method": "morph", "seed": number}}
        facts["inputs"] = {key: sha256(path) for key, path in files.items()}
        (folder / name / "provenance.json").write_text(json.dumps(facts))
    return folder

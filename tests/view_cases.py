# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Small cases to look at: as arrays, and as the folder that an edit leaves, with numbers that were chosen."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mededit_monai.io.displacement import write_displacement
from mededit_monai.io.hashing import sha256
from mededit_monai.reports.view_volumes import ViewCase, ViewStep

SHAPE, AFFINE = (40, 48, 36), np.array([[2.0, 0, 0, -40], [0, 2.0, 0, -48], [0, 0, 2.0, -36], [0, 0, 0, 1]])
LESION = (slice(8, 16), slice(20, 28), slice(14, 22))


def head(shape=SHAPE) -> np.ndarray:
    """An ellipsoid of 600 with a bright half of 1000 in front, on 0."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.where(x**2 + y**2 + z**2 < 0.9, np.where(y > 0, 1000.0, 600.0), 0.0).astype(np.float32)


def lesion(shape=SHAPE) -> np.ndarray:
    """A box on the right of the patient."""
    found = np.zeros(shape, dtype=bool)
    found[LESION] = True
    return found


def small_case(steps: int = 3, name: str = "case 7", **facts) -> ViewCase:
    """Step k of n darkens the lesion to (1 - k/(n-1)) of 600 or 1000 and moves its surroundings by 4k mm at most."""
    prior, mask = head(), lesion()
    near = np.zeros(SHAPE)
    near[4:20, 16:32, 10:26] = 1
    shares = np.linspace(0, 1, steps) if steps > 1 else [1.0]
    made = [
        ViewStep(f"strength {share:g}", np.where(mask, prior * (1 - share), prior), near > 0, 8 * share * near)
        for share in shares
    ]
    told = {"Edit": [("case", name), ("method", "morph")], "All options": [("seed", "0")]}
    return ViewCase(name, prior, AFFINE, mask, made, 8.0, told | facts)


def write_case(
    folder: Path, axcodes: str = "RAS", steps: tuple[str, ...] = (), name: str = "T1", scan: str = "scan.nii.gz"
) -> Path:
    """
    The folder of an edit and, beside it, the scan and lesion mask that it names: the edit is half the prior in the
    lesion, which is its region too, and all tissue moved 3 mm to the right and 4 mm to the front.

    Args:
        steps: names such as ``course_0``; without any, the edit is in the folder itself.
    """
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(axcodes))
    folder.mkdir(parents=True)
    prior, mask = head(), lesion()

    def save(array: np.ndarray, place: Path) -> nib.Nifti1Image:
        image = nib.Nifti1Image(array, AFFINE).as_reoriented(turn)
        nib.save(image, place)
        return image

    files = {"scan": folder.parent / scan, "pathology": folder.parent / "lesion.nii.gz"}
    image = save(prior.astype(np.int16), files["scan"])
    save(mask.astype(np.uint8), files["pathology"])
    inputs = {key: sha256(path) for key, path in files.items()}
    for number, one in enumerate(steps or ("",)):
        place = folder / one
        place.mkdir(exist_ok=True)
        save(np.where(mask, prior / 2, prior).astype(np.int16), place / "edited.nii.gz")
        save(mask.astype(np.uint8), place / "edit_region.nii.gz")
        field = np.zeros((3, *image.shape), dtype=np.float32)
        field[0], field[1] = 3, 4
        write_displacement(place / "displacement.nii.gz", field, image.affine)
        (place / "effects.json").write_text(json.dumps({"largest_displacement_mm": 5.0, "strength": 0.5 * number}))
        facts = {"synthetic": True, "options": {"disease": "stroke", "method": "morph", "seed": 11, "echo": None}}
        facts |= {"inputs": inputs, "case_id": name, "files": {k: str(v) for k, v in files.items()}}
        facts |= {"edited": "edited.nii.gz", "lesion_ml": 4.096, "warnings": ["odd & rare"], "strength": 0.5 * number}
        facts |= {one.partition("_")[0]: number} if one else {}
        for at in {place, folder}:
            (at / "provenance.json").write_text(json.dumps(facts))
    return folder

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Scans, edits and segmenters for recoveries, without a network."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.io.displacement import write_displacement
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import save_synthetic
from mededit_monai.io.provenance import write_provenance

#: A voxel is 8 mm³; the lesion has 4 x 4 x 4 of them.
SHAPE, AFFINE = (16, 14, 12), np.diag([-2.0, 2.0, 2.0, 1.0])
LESION = (slice(4, 8), slice(4, 8), slice(4, 8))
VENTRICLE = (slice(10, 13), slice(5, 9), slice(4, 8))


def labels(grown: int = 0, ventricle: bool = True) -> np.ndarray:
    """1 in the lesion, on every side so many voxels larger, 2 in the ventricle."""
    found = np.zeros(SHAPE, np.uint8)
    found[tuple(slice(side.start - grown, side.stop + grown) for side in LESION)] = 1
    found[VENTRICLE] = 2 * ventricle
    return found


def write_scans(folder: Path, count: int = 2) -> Path:
    """Scans without lesion, beside each what a segmenter is to find in it."""
    for k in range(count):
        place = folder / f"p{k}.nii.gz"
        folder.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.full(SHAPE, 100 + k, np.int16), AFFINE), place)
    return folder


def fake_edit(datalist, output_dir, **options) -> list[Path]:
    """As `mededit edit` leaves its cases, with the toy's lesion whatever words asked for, or the mask given."""
    written = []
    for case in datalist:
        with finished_folder(output_dir / case["case_id"]) as folder:
            save_synthetic(np.full(SHAPE, 50, np.int16), AFFINE, folder / "edited.nii.gz")
            if "pathology" not in case:
                save_synthetic((labels() == 1).astype(np.uint8), AFFINE, folder / "pathology.nii.gz")
            write_displacement(folder / "displacement.nii.gz", np.zeros((3, *SHAPE), np.float32), AFFINE)
            files = {name: case[name] for name in ("scan", "brain", "pathology") if name in case}
            facts = {"case_id": case["case_id"], "files": files, "edited": "edited.nii.gz"}
            write_provenance(folder, {"options": options, "inputs": {}}, facts | {"slices": [5]})
        written.append(output_dir / case["case_id"])
    return written


def segmenter(folder: Path, edited: np.ndarray | None, unedited: np.ndarray, failing: str = "@") -> str:
    """A command that copies the masks given; it fails on what has a word in its path, or writes nothing."""
    save_synthetic(unedited, AFFINE, folder / "unedited.nii.gz")
    if edited is not None:
        save_synthetic(edited, AFFINE, folder / "edited.nii.gz")
    script = folder / "segment.sh"
    script.write_text(
        f'echo "$1" >> "{folder}/calls"\n'
        f'case "$1" in *{failing}*) echo "out of cheese" >&2; exit 3;;\n'
        f'*edited.nii.gz) cp "{folder}/edited.nii.gz" "$2" || exit 0;;\n'
        f'*) cp "{folder}/unedited.nii.gz" "$2";; esac\n'
    )
    return f'sh "{script}" {{image}} {{output}}'

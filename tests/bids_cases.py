# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Finished cases as `mededit edit` leaves them, without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.bids.dataset import BidsDataset
from mededit_monai.io.displacement import write_displacement
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import save_synthetic
from mededit_monai.io.provenance import write_provenance

SHAPE, AFFINE = (6, 5, 4), np.diag([-2.0, 2.0, 3.0, 1.0])


def write_inputs(folder: Path, scan: str = "T1.nii.gz") -> dict[str, str]:
    """A scan, skull-stripped, its lesion and brain."""
    brain = np.zeros(SHAPE, np.uint8)
    brain[1:5, 1:4, 1:3] = 1
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[2, 2, 1:3] = 1
    found = {"scan": folder / scan, "pathology": folder / "lesion.nii.gz", "brain": folder / "brain.nii.gz"}
    for path, data in zip(found.values(), (brain * np.int16(700), lesion, brain)):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(data, AFFINE), path)
    return {name: str(path) for name, path in found.items()}


def write_case(dataset: BidsDataset, case_id: str, files: dict[str, str], samples: int = 1, label: int = 3) -> None:
    """An edit whose counterfactual is 100 darker in the lesion, with a label map carried along."""
    given = {**files, "carry_0": "elsewhere/sub-9_desc-aseg_dseg.nii.gz"}
    scan, lesion = (np.asarray(nib.load(files[name]).dataobj) for name in ("scan", "pathology"))
    request = {"options": {"disease": "stroke"}, "inputs": {}}
    facts = {"case_id": case_id, "files": given, "edited": "edited.nii.gz", "brain_source": "file", "slices": [1, 2]}
    with finished_folder(dataset.cases / case_id, dataset.overwrite) as case:
        for k in range(samples):
            place = case if samples == 1 else case / f"sample_{k}"
            (place / "carried").mkdir(parents=True)
            save_synthetic((scan - np.int16(100 + k) * lesion).astype(np.int16), AFFINE, place / "edited.nii.gz")
            save_synthetic(lesion, AFFINE, place / "edit_region.nii.gz")
            save_synthetic(lesion * np.uint8(label), AFFINE, place / "carried" / "sub-9_desc-aseg_dseg.nii.gz")
            for name in ("displacement", "inverse_displacement"):
                write_displacement(place / f"{name}.nii.gz", np.zeros((3, *SHAPE), np.float32), AFFINE)
            carried = {"sub-9_desc-aseg_dseg.nii.gz": {"interpolation": "nearest"}}
            (place / "effects.json").write_text(json.dumps({"synthetic": True, "carried": carried}))
            (place / "preview.png").write_bytes(b"a picture")
            write_provenance(place, request, facts)
        if samples > 1:
            save_synthetic(scan.astype(np.float32), AFFINE, case / "mean.nii.gz")
            save_synthetic(scan.astype(np.float32), AFFINE, case / "sd.nii.gz")
            write_provenance(case, request, facts)


def write_synthesis(dataset: BidsDataset, case_id: str, label: Path) -> None:
    """A synthesis of two modalities, from labels 0 to 4."""
    asked = np.zeros(SHAPE, np.uint8)
    asked[1:5, 1:4, 1:3], asked[2, 2, 1:3] = 4, (1, 3)
    nib.save(nib.Nifti1Image(asked, AFFINE), label)
    facts = {"case_id": case_id, "files": {"label": str(label)}, "modalities": ["t1ce", "flair"]}
    with finished_folder(dataset.cases / case_id) as case:
        for value, name in enumerate(facts["modalities"]):
            save_synthetic(np.full(SHAPE, value, np.float32), AFFINE, case / f"{name}.nii.gz")
        (case / "preview.png").write_bytes(b"a picture")
        write_provenance(case, {"options": {}, "inputs": {}}, facts)


def add(dataset: BidsDataset, *names: str, keep_going: bool = False) -> tuple[list[Path], list[dict]]:
    """As at the end of a run that made these cases: their folders in the dataset, and those that failed."""
    writer = SimpleNamespace(written=[dataset.cases / name for name in names], failed=[])
    return dataset.add_results(writer, [], keep_going), writer.failed


def validator_says(dataset: Path) -> list[dict]:
    """Issues that the BIDS validator has with a derivative dataset; the test is skipped where it is not installed."""
    places = (str(Path(sys.executable).parent), None)
    validator = next((found for place in places if (found := shutil.which("bids-validator-deno", path=place))), None)
    if validator is None:
        pytest.skip("bids-validator-deno is not installed (96 MB: it brings its own Deno); pip install it to run this")
    words = [validator, str(dataset), "--format", "json", "--datasetTypes", "derivative"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["issues"]["issues"]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What BIDS and nnU-Net want beside the images."""

from __future__ import annotations

import json
from pathlib import Path

from mededit_monai import __version__
from mededit_monai.reports.provenance import DISCLAIMER
from mededit_monai.simulation.plan import Recipe


def write_layout_files(root: Path, recipe: Recipe, listed: dict[str, list[dict]]) -> None:
    """Write ``dataset_description.json`` and ``participants.tsv`` (BIDS) or ``dataset.json`` (nnU-Net v2)."""
    if recipe.layout == "bids":
        _bids(root, recipe, listed)
    elif recipe.layout == "nnunet":
        _nnunet(root, recipe, listed)


def _bids(root: Path, recipe: Recipe, listed: dict[str, list[dict]]) -> None:
    description = {
        "Name": f"Simulated {recipe.disease} cohort",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mededit_monai", "Version": __version__, "Description": "mededit simulate"}],
        "Acknowledgements": DISCLAIMER,
    }
    (root / "dataset_description.json").write_text(json.dumps(description, indent=1) + "\n")
    (root / "README").write_text(f"Simulated pairs with and without the lesion. {DISCLAIMER}\n")
    rows = ["participant_id\tsplit\tstratum\tanatomy\tlesion_id"]
    for cases in listed.values():
        for case in cases:
            subject = f"sub-{case['case_id'].replace('_', '')}"
            rows.append("\t".join([subject, case["split"], case["stratum"], case["anatomy"], case["lesion_id"]]))
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")


def _nnunet(root: Path, recipe: Recipe, listed: dict[str, list[dict]]) -> None:
    """Training and validation cases are one pool there; ``splits_final.json`` keeps them apart."""
    stroke = recipe.disease == "stroke"
    labels = (
        {"background": 0, "lesion": 1} if stroke else {"background": 0, "necrotic core": 1, "edema": 2, "enhancing": 3}
    )
    content = {
        "channel_names": {"0": "T1" if stroke else "T1Gd"},
        "labels": labels,
        "numTraining": len(listed["training"]) + len(listed["validation"]),
        "file_ending": ".nii.gz",
        "description": DISCLAIMER,
    }
    (root / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")
    split = {
        key: [case["case_id"] for case in listed[name]] for key, name in (("train", "training"), ("val", "validation"))
    }
    (root / "splits_final.json").write_text(json.dumps([split], indent=1) + "\n")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What BIDS and nnU-Net want beside the images."""

from __future__ import annotations

from mededit_monai import __version__
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.simulation.plan import Recipe

#: Layout → files of a cohort that are about all its cases.
COHORT_FILES = {
    "datalist": ("cohort.json", "datalist.json"),
    "bids": ("cohort.json", "datalist.json", "dataset_description.json", "README", "participants.tsv"),
    "nnunet": ("cohort.json", "dataset.json", "splits_final.json"),
}


def layout_files(recipe: Recipe, listed: dict[str, list[dict]]) -> dict[str, bytes]:
    """``dataset_description.json``, ``README`` and ``participants.tsv`` (BIDS) or nnU-Net's lists: name → content."""
    if recipe.layout == "bids":
        return _bids(recipe, listed)
    return _nnunet(recipe, listed) if recipe.layout == "nnunet" else {}


def _bids(recipe: Recipe, listed: dict[str, list[dict]]) -> dict[str, bytes]:
    description = {
        "Name": f"Simulated {recipe.disease} cohort",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mededit_monai", "Version": __version__, "Description": "mededit simulate"}],
        "Acknowledgements": DISCLAIMER,
    }
    rows = ["participant_id\tsplit\tstratum\tanatomy\tlesion_id"]
    for cases in listed.values():
        for case in cases:
            subject = f"sub-{case['case_id'].replace('_', '')}"
            rows.append("\t".join([subject, case["split"], case["stratum"], case["anatomy"], case["lesion_id"]]))
    readme = f"Simulated pairs with and without the lesion. {DISCLAIMER}\n"
    return {
        "dataset_description.json": json_bytes(description),
        "README": readme.encode(),
        "participants.tsv": ("\n".join(rows) + "\n").encode("utf-8", "surrogateescape"),
    }


def _nnunet(recipe: Recipe, listed: dict[str, list[dict]]) -> dict[str, bytes]:
    """Training and validation cases are one pool there; ``splits_final.json`` keeps them apart."""
    content = {
        "channel_names": {"0": recipe.record.channel_name},
        "labels": recipe.record.label_numbers,
        "numTraining": len(listed["training"]) + len(listed["validation"]),
        "file_ending": ".nii.gz",
        "description": DISCLAIMER,
    }
    split = {
        key: [case["case_id"] for case in listed[name]] for key, name in (("train", "training"), ("val", "validation"))
    }
    return {"dataset.json": json_bytes(content), "splits_final.json": json_bytes([split])}

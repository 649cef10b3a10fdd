# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which cases an editing run works on, and the batches they travel in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mededit_monai.datasets.datalist import read_datalist
from mededit_monai.errors import InputError
from mededit_monai.reports.provenance import is_done, sha256

#: Model-space tensors of a case, Sx1x128x128 (``condition`` SxKx128x128), joined over the cases of a batch.
TENSOR_KEYS = ("image", "brain", "pathology", "condition", "region")


def editing_cases(
    scan: str | None,
    pathology: str | None,
    brain: str | None,
    datalist: str | None,
    dataset_dir: str | None,
    region: str | None,
    shard: str | None,
    output_dir: str,
    options: Mapping[str, Any],
) -> list[dict]:
    """
    The cases to edit: one from ``scan`` and ``pathology``, or those of a datalist.

    In a datalist the prior scan is ``scan``, else ``prior``, else ``image``; its mask ``brain`` or, with ``prior``,
    ``prior_brain``; with the condition ``regions`` the lesion mask is ``regions``, else ``pathology``. Cases whose
    finished output was made with the same options and the same input bytes are left out, so a run that was interrupted
    goes on where it stopped.

    Args:
        shard: ``i/n`` with i from 1: every n-th case beginning with the i-th.
        options: everything that decides the result, written to each case's provenance.

    Raises:
        InputError: too little or too much given, or a file that does not exist.
    """
    if datalist is None and dataset_dir is not None:
        datalist = str(Path(dataset_dir) / "datalist.json")
    if datalist is not None:
        if scan is not None or pathology is not None:
            raise InputError("--datalist: was given together with --scan or --pathology; give one or the other.")
        cases = [_from_datalist(case, datalist, options.get("condition", "mask")) for case in read_datalist(datalist)]
    else:
        for name, value in (("scan", scan), ("pathology", pathology)):
            if not value:
                raise InputError(f"--{name}: is missing; give a NIfTI file, or --datalist for many cases.")
        cases = [{"case_id": _stem(str(scan)), "scan": str(scan), "pathology": str(pathology), "brain": brain}]
    for case in cases:
        case["region_file"] = region if region and region not in ("auto", "dilate", "brain", "pathology") else None
        for key in ("scan", "pathology", "brain", "region_file"):
            if case.get(key) and not Path(case[key]).is_file():
                option = "region" if key == "region_file" else key
                raise InputError(f"{case[key]}: not found (--{option}, case '{case['case_id']}'); check the path.")
    pending = []
    for case in share_of(cases, shard):
        files = {key: case[key] for key in ("scan", "pathology", "brain", "region_file") if case.get(key)}
        case["files"] = {key: str(value) for key, value in files.items()}
        case["request"] = {"options": dict(options), "inputs": {k: sha256(v) for k, v in files.items()}}
        if is_done(Path(output_dir) / case["case_id"], case["request"]):
            print(f"mededit: {case['case_id']} is done with these options, skipped ({output_dir}/{case['case_id']})")
        else:
            pending.append(case)
    return pending


def collate_cases(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the slices of several cases into one batch; everything else travels in the list ``cases``."""
    batch: dict[str, Any] = {key: torch.cat([case[key] for case in cases]) for key in TENSOR_KEYS}
    batch["cases"] = [{k: v for k, v in case.items() if k not in TENSOR_KEYS} for case in cases]
    return batch


def _from_datalist(case: Mapping[str, Any], datalist: str, condition: str) -> dict:
    key = next((k for k in ("scan", "prior", "image") if case.get(k)), None)
    if key is None or not case.get("pathology"):
        missing = "a scan ('scan', 'prior' or 'image')" if key is None else "'pathology'"
        raise InputError(f"{datalist}: case '{case['case_id']}' has no {missing}; add it.")
    brain = case.get("prior_brain") if key == "prior" else None
    return {
        "case_id": str(case["case_id"]),
        "scan": case[key],
        "pathology": (case.get("regions") if condition == "regions" else None) or case["pathology"],
        "brain": brain or case.get("brain"),
    }


def share_of(cases: list[dict], shard: str | None) -> list[dict]:
    """Every n-th case beginning with the i-th for the shard ``i/n`` (i from 1), all for None; InputError for others."""
    if shard is None:
        return cases
    part, _, parts = str(shard).partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise InputError(f"--shard: got '{shard}', wanted i/n with 1 <= i <= n, for example 1/4.")
    return cases[int(part) - 1 :: int(parts)]


def _stem(path: str) -> str:
    name = Path(path).name
    for suffix in (".nii.gz", ".nii"):
        name = name.removesuffix(suffix)
    return name

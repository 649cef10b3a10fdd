# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of a cohort that an evaluation edits."""

from __future__ import annotations

from pathlib import Path

from mededit_monai.datasets.datalist import read_datalist
from mededit_monai.errors import InputError

#: What a paired case must hold; ``ventricles`` and ``prior_ventricles`` too where they are measured.
PAIRED_KEYS = ("prior", "image", "brain", "pathology", "prior_ventricles", "ventricles")

#: Names of a case that results keep.
NAMES = ("case_id", "patient", "anatomy", "stratum")


def evaluation_cases(
    datalist: str | Path | None, dataset_dir: str | Path | None, split: str, limit: int | None, condition: str
) -> list[dict]:
    """
    Paired cases of a split, reduced to files and names.

    Args:
        datalist, dataset_dir: a paired cohort's list, or the folder with ``datalist.json`` in it.
        split: name of the list, ``testing`` for held-out anatomies and lesions.
        limit: the first so many cases; None for all.
        condition: ``regions`` wants the key of that name too.

    Raises:
        InputError: neither given, no such list, or a case without its truth.
    """
    if datalist is None and dataset_dir is None:
        raise InputError(
            "--datalist: is missing; give the list of a paired cohort, for example what 'mededit simulate' writes."
        )
    place = datalist if datalist is not None else Path(str(dataset_dir)) / "datalist.json"
    cases = read_datalist(place, split)[:limit]
    keys = (*PAIRED_KEYS, *(["regions"] if condition == "regions" or "regions" in cases[0] else []))
    for case in cases:
        for key in keys:
            if not case.get(key):
                raise InputError(f"{place}: case '{case['case_id']}' has no '{key}'; evaluation wants a paired cohort.")
            if not Path(case[key]).is_file():
                raise InputError(f"{case[key]}: not found ('{key}' of case '{case['case_id']}' in {place}).")
    names = [name for name in NAMES if all(name in case for case in cases)]
    return [{key: case[key] for key in (*names, *keys)} for case in cases]

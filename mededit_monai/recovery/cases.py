# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which lesion goes into which scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.diseases.record import STRATA
from mededit_monai.io.case_names import stem
from mededit_monai.io.datalist import read_datalist
from mededit_monai.lesions.masks import masks_in
from mededit_monai.lesions.wanted import from_words
from mededit_monai.recovery.options import RecoveryOptions


@dataclass(frozen=True)
class Insertion:
    """
    A lesion in a scan.

    Args:
        case_id: of the counterfactual; scan_id: of the scan, for what is found in it before the edit.
        patient: whose scan it is; of a simulated one, whose brain.
        entry: the case as ``mededit edit`` takes it.
    """

    case_id: str
    scan_id: str
    patient: str
    entry: dict[str, Any]

    @property
    def scan(self) -> Path:
        """The scan without the lesion."""
        return Path(self.entry["scan"])


def insertions(options: RecoveryOptions) -> list[Insertion]:
    """
    Every lesion in every scan, scan by scan.

    Raises:
        InputError: no scans, a lesion that is not understood, or none of a case's own where none is given.
    """
    place, asked = user_path(options.scans or ""), options.asked()
    for text in asked:
        try:
            from_words(text)
        except InputError as error:
            sentence = str(error).replace("--lesion:", "--lesions:")
            raise InputError(sentence) from None
    if not place.exists():
        raise InputError(f"--scans: {place} not found; give a folder of scans without lesion, or a datalist.")
    if place.is_dir():
        scans = [{"case_id": stem(path), "scan": str(path)} for path in masks_in(place)]
        if not scans:
            raise InputError(f"{place}: holds no images, wanted scans without lesion; choose another folder.")
        twice = [one["case_id"] for one in scans if [s["case_id"] for s in scans].count(one["case_id"]) > 1]
        if twice:
            raise InputError(f"{place}: two of its scans are called '{twice[0]}'; name them in a datalist instead.")
    else:
        scans = read_datalist(place)
    found = []
    for case in scans:
        key = next((k for k in ("scan", "prior", "image") if case.get(k)), None)
        if key is None:
            raise InputError(f"{place}: case '{case['case_id']}' has no scan ('scan', 'prior' or 'image'); add it.")
        brain = (case.get("prior_brain") if key == "prior" else None) or case.get("brain")
        entry = {"scan": case[key], **({"brain": brain} if brain else {})}
        own = {name: case[name] for name in ("pathology", "lesion") if case.get(name)}
        lesions = [{"lesion": text} for text in asked or (() if own else STRATA)] or [own]
        for number, lesion in enumerate(lesions):
            name = case["case_id"] if lesion is own else f"{case['case_id']}_lesion{number}"
            found.append(Insertion(name, case["case_id"], group_of(case), {"case_id": name, **entry, **lesion}))
    return found

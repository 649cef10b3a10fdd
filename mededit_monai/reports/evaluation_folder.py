# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Read what an evaluation left in its folder: facts, tables, figures of every case, triplets and edits."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.pairing import PAIRINGS
from mededit_monai.diseases import DISEASES, Disease
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.evaluation.write import read_lines
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array

#: What a table's kind varies → the setting that holds it, and the ending of a row's key that tells it too.
VARIED = {"kernel": ("dilation", re.compile(r"_k(\d+)$")), "resampling": ("resample", re.compile(r"_u(\d+)$"))}


@dataclass(frozen=True)
class Case:
    """One line of ``metrics.csv``; figures that could not be measured are missing."""

    row: str
    pairing: str
    case_id: str
    facts: Mapping[str, str]
    figures: Mapping[str, float]

    @property
    def group(self) -> str:
        """Who the case belongs to: its anatomy, else its patient, else itself."""
        return self.facts.get("anatomy") or self.facts.get("patient") or self.case_id

    def figure(self, *names: str) -> float | None:
        """The first of several figures that the case has."""
        return next((self.figures[name] for name in names if name in self.figures), None)


class EvaluationFolder:
    """
    An evaluation as its files tell it; nothing else is looked at.

    Args:
        folder: output folder of ``mededit evaluate``.

    Raises:
        InputError: no ``evaluation.json``, no tables, or a file that cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = user_path(folder)
        self.facts = _read_json(self.folder / "evaluation.json")
        places = sorted(self.folder.glob("table_*.json"), key=_natural)
        if not places:
            raise InputError(
                f"{self.folder}: holds no table_5_*.json; let 'mededit evaluate' finish at least one table."
            )
        self.tables = [_read_json(place) for place in places]
        self.cases = _read_cases(self.folder / "metrics.csv")
        self._arrays: dict[str, np.ndarray | None] = {}
        self._heights: dict[tuple[str, str], int] = {}

    @property
    def volumes(self) -> bool:
        """Whether the cases are volumes; pictures then show the axial slice with most lesion."""
        cohort = self.facts.get("cohort")
        return isinstance(cohort, Mapping) and cohort.get("spatial_dims") == 3

    @cached_property
    def triplets(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Pairing → case → what was edited, with absolute paths."""
        found = {}
        for pairing in PAIRINGS:
            place = self.folder / f"triplets_{pairing}.json"
            if place.is_file():
                found[pairing] = {case["case_id"]: case for case in read_datalist(place)}
        return found

    def counts(self, pairing: str) -> dict[str, int]:
        """Triplets of a pairing, and those of each size stratum."""
        cases = self.triplets.get(pairing, {}).values()
        return {"triplets": len(cases), **Counter(str(c["stratum"]) for c in cases if c.get("stratum"))}

    def groups(self) -> int:
        """How many anatomies (patients) the measured cases come from."""
        return len({case.group for case in self.cases})

    def of(self, row: str, pairing: str) -> list[Case]:
        """Measured cases of a row, in the file's order."""
        return [case for case in self.cases if case.row == row and case.pairing == pairing]

    def disease(self, table: Mapping[str, Any] | None = None) -> Disease | None:
        """The disease, by the table's bundle, the judge or the cohort's recipe; None where no file says it."""
        words = [(table or {}).get("bundle")]
        for part in (self.facts.get("judge"), self.facts.get("cohort"), self.facts):
            if isinstance(part, Mapping):
                words += [part.get("disease"), (part.get("recipe") or {}).get("disease")]
        names = [Path(str(word)).name for word in words if word]
        return next((DISEASES[name] for name in names if name in DISEASES), None)

    def edit(self, row: str, pairing: str, case_id: str) -> np.ndarray | None:
        """An edit, XxY in [0, 1]; None where the folder has no whole file of it."""
        found = read_edit(self.folder / "edits" / row / pairing / f"{case_id}.npz")
        return None if found is None else self._shown(found.edit.squeeze(), pairing, case_id)

    def plane(self, pairing: str, case_id: str, key: str) -> np.ndarray | None:
        """
        A slice of a triplet (``prior``, ``pathology``, ``image`` …), XxY; None where its file is not there.

        Raises:
            InputError: a file that is damaged.
        """
        place = self.triplets.get(pairing, {}).get(case_id, {}).get(key)
        if not place:
            return None
        if place not in self._arrays:
            known = Path(place).is_file()
            array = read_array(place).astype(np.float32, copy=False).squeeze() if known else None
            self._arrays[place] = None if array is None else self._shown(array, pairing, case_id)
        return self._arrays[place]

    def _shown(self, array: np.ndarray, pairing: str, case_id: str) -> np.ndarray:
        """A slice as it is; of a volume, a copy of the axial slice with most lesion."""
        if array.ndim < 3:
            return array
        if (pairing, case_id) not in self._heights:
            place = self.triplets[pairing][case_id]["pathology"]
            self._heights[pairing, case_id] = int((read_array(place).squeeze() > 0).sum(axis=(0, 1)).argmax())
        return array[..., self._heights[pairing, case_id]].copy()


def varied(table: Mapping[str, Any], row: Mapping[str, Any]) -> float | None:
    """k or U of a row in a table that varies it; None where the row does not say."""
    setting, ending = VARIED[table["kind"]]
    value = row.get("settings", {}).get(setting)
    if isinstance(value, (int, float)):
        return float(value)
    told = ending.search(row["row"])
    return float(told.group(1)) if told else None


def in_order(table: Mapping[str, Any]) -> list[tuple[float, Mapping[str, Any]]]:
    """k or U with its row, rising; rows that do not say theirs are left out."""
    known = [(varied(table, row), row) for row in table["rows"]]
    return sorted(((x, row) for x, row in known if x is not None), key=lambda pair: pair[0])


def distance_columns(names: Iterable[str]) -> list[tuple[str, float, float | None]]:
    """
    Columns of the change in rings around p, inside first: name, inner edge and outer edge (None: open), mm.

    They are called ``distance_change_0_3mm`` … ``distance_change_60_on``.
    """
    found = []
    for name in names:
        told = re.fullmatch(r"distance_(?:change_)?([\d.]+)_(?:([\d.]+)mm|on)", name)
        if told:
            found.append((name, float(told.group(1)), float(told.group(2)) if told.group(2) else None))
    return sorted(found, key=lambda ring: ring[1])


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: not found; give the output folder of 'mededit evaluate'.")
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); run 'mededit evaluate' again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no object; run 'mededit evaluate' again.")
    return found


def _read_cases(path: Path) -> list[Case]:
    if not path.is_file():
        return []
    try:
        lines = read_lines(path)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); run 'mededit evaluate' again.") from error
    for name in ("row", "pairing", "case_id"):
        if lines and name not in lines[0]:
            raise InputError(f"{path}: has no column '{name}'; run 'mededit evaluate' again.")
    return [_case(line) for line in lines]


def _case(line: Mapping[str, str | None]) -> Case:
    figures, facts = {}, {}
    for name, text in line.items():
        if text in (None, ""):
            continue
        facts[name] = text
        try:
            value = float(text)
        except ValueError:
            continue
        if not np.isnan(value):
            figures[name] = value
    return Case(str(line["row"]), str(line["pairing"]), str(line["case_id"]), facts, figures)


def _natural(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.stem)]

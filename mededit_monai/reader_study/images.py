# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The images that a study can show: of a table, whatever software made them, or of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.datasets.pairing import PAIRINGS
from mededit_monai.datasets.splits import quartile_bounds, stratum_of
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.formats.registry import is_there
from mededit_monai.io.nifti import read_volume
from mededit_monai.io.tables import named_path, read_table
from mededit_monai.reader_study.design import PARTS, Arm, Design
from mededit_monai.reports.evaluation_folder import EvaluationFolder

COLUMNS = ("case", "arm", *PARTS, "stratum", "patient")


@dataclass(frozen=True)
class Candidate:
    """
    An image that can be shown.

    Args:
        arm, case: what it is; an arm has one image of a case.
        group: whom it is of; images of one anatomy or patient are not independent.
        stratum: of the lesion's size; "" where it is not known.
        files: ``image``, and perhaps ``prior`` and ``mask``.
    """

    arm: str
    case: str
    group: str
    stratum: str
    files: Mapping[str, Path]


def table_images(path: str | Path, design: Design) -> list[Candidate]:
    """
    Images that a CSV file lists: ``case``, ``arm``, ``image``, and perhaps ``prior``, ``mask``, ``stratum`` and
    ``patient``; file names are relative to it.

    Raises:
        InputError: no such table, a column or file that is missing, an arm that the design lacks, or a case twice.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"--images: {path} not found; give a CSV file with the columns {', '.join(COLUMNS[:3])}.")
    table = read_table(path)
    for name in ("case", "arm", "image"):
        if name not in table.columns:
            raise InputError(f"{path}: has no column '{name}'; wanted {', '.join(COLUMNS)}.")
    arms = [arm.name for arm in design.arms]
    found: dict[tuple[str, str], Candidate] = {}
    for number, row in table.rows:
        place, arm, case = f"{path}: line {number}", row["arm"], row["case"]
        if arm not in arms:
            raise InputError(f"{place} has the arm '{arm}'; wanted one of the design's: {', '.join(arms)}.")
        if not case or (arm, case) in found:
            raise InputError(f"{place} has the case '{case}' of arm '{arm}', wanted a name that is there once.")
        files = {part: named_path(row[part], path.parent) for part in PARTS if row.get(part)}
        _require_parts(files, design.parts(arm), place)
        patient = row.get("patient") or case
        found[arm, case] = Candidate(arm, case, patient, row.get("stratum", ""), files)
    return list(found.values())


def evaluation_images(
    folder: str | Path, design: Design, pairing: str | None = None, cohort: str | Path | None = None
) -> list[Candidate]:
    """
    Images of the folder of ``mededit evaluate``: of an arm the edits of the row with its name, of a real one the
    cohort's own images with pathology.

    Args:
        pairing: ``thesis`` or ``paired``; None: the first of these that there is.
        cohort: folder with the real images; None: those of the folder's own pairs.

    Raises:
        InputError: no such folder, pairing, row or images.
    """
    source = EvaluationFolder(folder)
    chosen = pairing or next((name for name in PAIRINGS if name in source.triplets), None)
    if chosen not in source.triplets:
        raise InputError(f"--pairing: got '{pairing}', but {source.folder} has {', '.join(source.triplets) or 'none'}.")
    found: list[Candidate] = []
    for arm in design.arms:
        own = _real(source, arm, cohort) if arm.real else _edits(source, arm, str(chosen))
        images = list(own)
        for one in images:
            _require_parts(one.files, design.parts(arm.name), f"{source.folder}: arm '{arm.name}', case '{one.case}'")
        found += images
    return found


def _edits(source: EvaluationFolder, arm: Arm, pairing: str) -> Iterator[Candidate]:
    rows = sorted(place.name for place in (source.folder / "edits").glob("*") if place.is_dir())
    own = rows_named(arm.name, rows)
    if len(own) != 1:
        which = "several rows" if own else "no row"
        raise InputError(
            f"{source.folder}: has {which} for the arm '{arm.name}' (found: {', '.join(own or rows) or 'none'}); call "
            f"the arm in the design as one row is."
        )
    for case in source.triplets[pairing].values():
        edit = source.folder / "edits" / own[0] / pairing / f"{case['case_id']}.npz"
        if edit.is_file():
            yield _candidate(arm, case, edit)


def rows_named(arm: str, rows: Iterable[str]) -> list[str]:
    """Rows of an evaluation that are called as an arm is, with or without the bundle and condition before it."""
    named = re.compile(rf"(.+_(mask|box|regions)_)?{re.escape(arm)}")
    return [name for name in rows if named.fullmatch(name)]


def _real(source: EvaluationFolder, arm: Arm, cohort: str | Path | None) -> Iterator[Candidate]:
    if cohort is not None:
        cases = read_datalist(user_path(cohort) / "datalist.json", "testing")
    else:
        cases = list(source.triplets.get("paired", {}).values())
    cases = [case for case in cases if case.get("image")]
    if not cases:
        raise InputError(f"--cohort: is missing, but {source.folder} has no real images for '{arm.name}'; give it.")
    yield from (_candidate(arm, case, Path(case["image"])) for case in cases)


def _candidate(arm: Arm, case: Mapping[str, Any], image: Path) -> Candidate:
    name = str(case.get("mask_case") or case["case_id"])
    files = {"image": image} | {p: Path(case[k]) for p, k in (("prior", "prior"), ("mask", "pathology")) if case.get(k)}
    return Candidate(arm.name, name, group_of(case), str(case.get("stratum") or ""), files)


def _require_parts(files: Mapping[str, Path], wanted: set[str], place: str) -> None:
    lacking = next((part for part in PARTS if part in wanted and part not in files), None)
    if lacking:
        raise InputError(f"{place} has no '{lacking}', which a stage of the design shows; add it.")
    absent = next((path for path in files.values() if not is_there(path)), None)
    if absent:
        raise InputError(f"{place} names {absent}, which is not there; check the path.")


def with_strata(images: Sequence[Candidate]) -> list[Candidate]:
    """
    Images with a stratum each: where none is given, by the lesion's size, in quartiles of all cases as in the thesis.

    Raises:
        InputError: an image without stratum and without mask.
    """
    sizes: dict[str, float] = {}
    for one in images:
        if one.stratum or one.case in sizes:
            continue
        if "mask" not in one.files:
            raise InputError(
                f"arm '{one.arm}', case '{one.case}': has neither stratum nor mask; add one, or set the design's "
                f"strata to none."
            )
        mask = read_volume(one.files["mask"])
        sizes[one.case] = float((mask.data > 0).sum() * np.prod(mask.spacing))
    if not sizes:
        return list(images)
    bounds = quartile_bounds(list(sizes.values()))
    return [one if one.stratum else replace(one, stratum=stratum_of(sizes[one.case], bounds)) for one in images]

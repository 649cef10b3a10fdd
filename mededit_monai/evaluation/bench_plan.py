# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``configs/bench.yaml`` asks for, as rows of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.evaluation.folder import require_folder_name
from mededit_monai.evaluation.rows import Row, evaluation_row
from mededit_monai.evaluation.tables import tables_folder
from mededit_monai.sampling.levels import evaluations, visits

ENTRIES = ("reference", "default", "margins", "presets", "networks", "rows", "series")
PRESETS = ("quick", "full")


@dataclass(frozen=True)
class BenchRow:
    """
    One setting that is measured.

    Args:
        row: what the evaluation makes and measures.
        group: part of the table; a series' name for its rows.
        value: of the series' option; None outside of a series.
        cases: at most so many on a CPU; None: all.
    """

    row: Row
    group: str
    value: float | None = None
    cases: int | None = None

    @property
    def name(self) -> str:
        """As in the file, a series' rows with their value."""
        return self.row.key


@dataclass(frozen=True)
class BenchPlan:
    """
    Args:
        rows: in the order of the table.
        reference: name of the row that all others are compared with; default: of the row that is the default of
            ``edit``, or shall be.
        margins: figure → how much worse counts as no worse.
        cases: how many are edited.
        networks: label → options of ``inference.yaml``: networks whose evaluation is timed.
    """

    rows: tuple[BenchRow, ...]
    reference: str
    default: str
    margins: Mapping[str, float]
    cases: int
    networks: Mapping[str, Mapping[str, Any]]


def bench_file() -> Path:
    """The shipped ``configs/bench.yaml``, from a clone and from an installed wheel alike."""
    return tables_folder().parent / "bench.yaml"


def read_plan(
    root: Path,
    condition: str = "mask",
    preset: str = "full",
    cases: int | None = None,
    wanted: Sequence[str] = (),
    path: str | Path | None = None,
    all_cases: bool = False,
) -> BenchPlan:
    """
    The rows that a bundle can be measured on.

    Args:
        root: the bundle's folder; condition: mask, box or regions.
        preset: ``quick`` or ``full``; cases: how many in place of the preset's.
        wanted: names of rows, series or groups; none for all of the preset.
        path: another file than the shipped one.
        all_cases: whether slow rows get all cases too.

    Raises:
        InputError: a file that cannot be used, or a name that is not in it.
    """
    require_choice("preset", preset, PRESETS)
    place = bench_file() if path is None else user_path(path)
    if not place.is_file():
        raise InputError(f"--rows_file: {place} not found; give an existing YAML file.")
    try:
        content = yaml.safe_load(place.read_bytes())
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{place}: is not valid YAML ({str(error).splitlines()[0]}); mend it.") from error
    if not isinstance(content, dict) or set(content) != set(ENTRIES):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{place}: has the entries {found}; wanted {', '.join(ENTRIES)}.")
    try:
        limits = content["presets"][preset]
        count = cases or int(limits["cases"])
        rows = [_row(root, condition, name, **entry) for name, entry in content["rows"].items()]
        for name, series in content["series"].items():
            rows += _series(root, condition, name, **series)
        margins, networks = dict(content["margins"]), dict(content["networks"])
        missing = {"dice", "kid", "ventricle_error"} - set(margins)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{place}: is not in the form of configs/bench.yaml ({error}); mend it.") from error
    if missing:
        raise InputError(f"{place}: has no margin of {', '.join(sorted(missing))}; add it.")
    for row in rows:
        require_folder_name(place, "row", row.name)
    names = {row.name for row in rows}
    for key in ("reference", "default"):
        if content[key] not in names:
            raise InputError(f"{place}: its {key} is '{content[key]}', which is none of its rows.")
    groups = {row.group for row in rows}
    for word in wanted:
        require_choice("rows", word, (*sorted(names), *sorted(groups)))
    if wanted:
        rows = [row for row in rows if row.name in wanted or row.group in wanted]
    elif "most_evaluations" in limits:
        try:
            rows = [row for row in rows if planned_evaluations(row.row.settings) <= limits["most_evaluations"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: a row does not say how many evaluations it takes ({error}); add it.") from error
    limited = [replace(row, cases=None if all_cases or row.cases is None else min(row.cases, count)) for row in rows]
    return BenchPlan(tuple(limited), content["reference"], content["default"], margins, count, networks)


def _row(
    root: Path, condition: str, name: str, label: str, group: str, settings: Mapping[str, Any], cases: int | None = None
) -> BenchRow:
    return BenchRow(evaluation_row(name, label, condition, dict(settings), root), group, None, cases)


def _series(
    root: Path, condition: str, name: str, label: str, option: str, values: Sequence, settings: Mapping[str, Any]
) -> list[BenchRow]:
    rows = []
    for value in values:
        key, chosen = f"{name}_{value:g}", {**settings, option: value}
        rows.append(BenchRow(evaluation_row(key, f"{label} {value:g}", condition, chosen, root), name, float(value)))
    return rows


def planned_evaluations(settings: Mapping[str, Any]) -> int:
    """About how many network evaluations settings ask for, before anything is built."""
    if settings.get("control") in ("no_edit", "truth"):
        return 0
    if "Diffusers" in str(settings.get("evaluate#editor", "")):
        return 2410
    composed = settings["method"] in ("mededit", "naive_repaint") and "evaluate#editor" not in settings
    resample = settings.get("resample", 2) if composed else 1
    return evaluations(visits(settings["steps"], resample, settings.get("jump", 1)))

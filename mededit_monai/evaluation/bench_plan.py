# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``configs/bench.yaml`` (``bench_volumes.yaml``) asks for, as rows of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.folder import require_folder_name
from mededit_monai.evaluation.rows import Row, evaluation_row
from mededit_monai.evaluation.tables import tables_folder, yaml_entries
from mededit_monai.methods.record import METHODS
from mededit_monai.sampling.levels import evaluations, visits
from mededit_monai.sampling.sampler import SAMPLERS

ENTRIES = ("reference", "default", "margins", "presets", "networks", "rows", "series")

#: Columns of which each case has its own figure, with a better and a worse side.
BOUNDED = tuple(key for key, column in COLUMNS.items() if column.per_case and column.better in ("lower", "higher"))

#: A row from its name, label and settings.
RowOf = Callable[[str, str, Mapping[str, Any]], Row]


@dataclass(frozen=True)
class BenchRow(Row):
    """
    A row with its place in the bench.

    Args:
        group: part of the table; a series' name for its rows.
        value: of the series' option; None outside of a series.
    """

    group: str = ""
    value: float | None = None


@dataclass(frozen=True)
class BenchPlan:
    """
    Args:
        rows: in the order of the table.
        reference: name of the row that all others are compared with; default: of the row that is the default of
            ``edit``, or shall be.
        margins: figure → how much worse counts as no worse: ``kid``, or one of :data:`BOUNDED`.
        cases: how many are edited.
        networks: label → options of ``inference.yaml``: networks whose evaluation is timed.
    """

    rows: tuple[BenchRow, ...]
    reference: str
    default: str
    margins: Mapping[str, float]
    cases: int
    networks: Mapping[str, Mapping[str, Any]]

    @property
    def measurable(self) -> list[BenchRow]:
        """Rows that this bundle has weights for."""
        return [row for row in self.rows if row.reason is None]


def bench_file(spatial_dims: int = 2) -> Path:
    """The shipped ``configs/bench.yaml``, or that of volumes, from a clone and from an installed wheel alike."""
    return tables_folder().parent / ("bench.yaml" if spatial_dims == 2 else "bench_volumes.yaml")


def read_plan(
    root: Path,
    condition: str = "mask",
    preset: str = "full",
    cases: int | None = None,
    wanted: Sequence[str] = (),
    path: str | Path | None = None,
    all_cases: bool = False,
    spatial_dims: int = 2,
) -> BenchPlan:
    """
    The rows that a bundle can be measured on.

    Args:
        root: the bundle's folder; condition: mask, box or regions.
        preset: ``quick`` or ``full``; cases: how many in place of the preset's.
        wanted: names of rows, series or groups; none for all of the preset.
        path: another file than the shipped one.
        all_cases: whether slow rows get all cases too.
        spatial_dims: of the cohort's cases.

    Raises:
        InputError: a file that cannot be used, or a name that is not in it.
    """
    require_choice("preset", preset, ("quick", "full"))
    place = bench_file(spatial_dims) if path is None else user_path(path)
    if not place.is_file():
        raise InputError(f"--rows_file: {place} not found; give an existing YAML file.")
    content = yaml_entries(place, ENTRIES)

    def row_of(name: str, label: str, settings: Mapping[str, Any]) -> Row:
        return evaluation_row(name, label, condition, dict(settings), root, spatial_dims)

    try:
        limits = content["presets"][preset]
        count = cases or int(limits["cases"])
        most = None if all_cases else count
        rows = [_row(row_of, most, name, **entry) for name, entry in content["rows"].items()]
        for name, series in content["series"].items():
            rows += _series(row_of, name, **series)
        margins, networks = dict(content["margins"]), dict(content["networks"])
        strange = sorted(set(margins) - {"kid", *BOUNDED})
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{place}: is not in the form of configs/bench.yaml ({error}); mend it.") from error
    if strange or not margins:
        found = ", ".join(strange) or "no margin"
        raise InputError(f"{place}: margins: has {found}, wanted some of kid, {', '.join(BOUNDED)}; mend it.")
    for row in rows:
        require_folder_name(place, "row", row.key)
    names = {row.key for row in rows}
    for key in ("reference", "default"):
        if content[key] not in names:
            raise InputError(f"{place}: its {key} is '{content[key]}', which is none of its rows.")
    groups = {row.group for row in rows}
    for word in wanted:
        require_choice("row", word, (*sorted(names), *sorted(groups)))
    if wanted:
        rows = [row for row in rows if row.key in wanted or row.group in wanted]
    elif "most_evaluations" in limits:
        try:
            rows = [row for row in rows if planned_evaluations(row.settings) <= limits["most_evaluations"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: a row does not say how many evaluations it takes ({error}); add it.") from error
    return BenchPlan(tuple(rows), content["reference"], content["default"], margins, count, networks)


def _row(
    row_of: RowOf,
    most: int | None,
    name: str,
    label: str,
    group: str,
    settings: Mapping[str, Any],
    cases: int | None = None,
) -> BenchRow:
    row = row_of(name, label, settings)
    limit = None if cases is None or most is None else min(cases, most)
    return BenchRow(**{**vars(row), "cases": limit}, group=group)


def _series(
    row_of: RowOf, name: str, label: str, option: str, values: Sequence, settings: Mapping[str, Any]
) -> list[BenchRow]:
    rows = [_row(row_of, None, f"{name}_{v:g}", f"{label} {v:g}", name, {**settings, option: v}) for v in values]
    return [replace(row, value=float(v)) for row, v in zip(rows, values)]


def planned_evaluations(settings: Mapping[str, Any]) -> int:
    """About how many network evaluations settings ask for, before anything is built."""
    if settings.get("control") in ("no_edit", "truth"):
        return 0
    if "Diffusers" in str(settings.get("evaluate#editor", "")):
        return 2410
    resamples = "resample" in METHODS[settings["method"]].takes and "evaluate#editor" not in settings
    moves = visits(settings["steps"], settings.get("resample", 2) if resamples else 1, settings.get("jump", 1))
    return evaluations(moves) * SAMPLERS[settings.get("sampler", "ddpm")].evaluations

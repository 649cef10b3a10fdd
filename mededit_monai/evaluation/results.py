# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found, as the files of its folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.columns import Column, table_columns
from mededit_monai.evaluation.comparisons import comparisons
from mededit_monai.evaluation.notes import table_notes
from mededit_monai.evaluation.plan import Plan
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.evaluation.tables import Table, TableRow
from mededit_monai.evaluation.write import csv_text, read_lines, table_lines, table_markdown, write_table
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import OutputFolder, remove_listed_file
from mededit_monai.io.provenance import DISCLAIMER, versions

#: Facts of a cohort that tables in one folder must have in common.
_OF_COHORT = ("name", "disease", "recipe", "simulator_version", "synthetic", "spatial_dims")

#: Kinds of a table's file.
ENDINGS = ("json", "csv", "md")


@dataclass(frozen=True)
class Evaluation(Plan):
    """
    Everything that the files are made of.

    Args:
        lines: of ``metrics.csv`` by row and pairing.
        counts: of the triplets by pairing; judge: its facts; extractors: ending of the columns' keys → name.
        real: pathological test slices that edits are compared with; fitted: training cases of the area regression.
    """

    lines: Mapping[tuple[str, str], list[dict[str, Any]]]
    scorer: Scorer
    counts: Mapping[str, Mapping[str, Any]]
    judge: Mapping[str, Any]
    extractors: dict[str, str]
    real: int
    fitted: int

    @property
    def request(self) -> dict[str, Any]:
        """What tables in one folder must have in common."""
        o = self.options
        return {
            "cohort": {
                "folder": Path(o.cohort).resolve().name,
                "datalist_sha256": sha256(Path(o.cohort) / "datalist.json"),
                **{key: self.cohort[key] for key in _OF_COHORT},
            },
            "bundle": self.job.root.name,
            "preset": o.preset,
            "limit": o.limit,
            "steps": o.steps,
            "seed": o.seed,
            "pairings": list(self.pairings),
            "triplets_sha256": {pairing: sha256(self.job.triplets(pairing)) for pairing in self.pairings},
            "judge": dict(self.judge),
            "extractors": [
                {"name": name, "columns": f"those that end in {ending}" if ending else "those without an ending"}
                for ending, name in self.extractors.items()
            ],
        }

    def command(self, tables: Sequence[str]) -> str:
        """The command that makes these tables (:attr:`Table.option`), with folders by their names."""
        o = self.options
        words = ["mededit evaluate", f"--cohort {Path(o.cohort).resolve().name}", *(f"--table {t}" for t in tables)]
        words += [f"--pairing {o.pairing}", f"--preset {o.preset}", f"--seed {o.seed}"]
        words += [f"--{name} {getattr(o, name)}" for name in ("limit", "steps") if getattr(o, name) is not None]
        for name in ("bundle", "judge", "features"):
            words += [f"--{name} {Path(getattr(o, name)).name}"] if getattr(o, name) is not None else []
        return " ".join([*words, *(f"--config {Path(c).name}" for c in o.configs), f"-o {Path(o.output).name}"])


def result_names(tables: Sequence[Table], report: bool = True) -> list[str]:
    """Names of the files that :func:`write_results` writes."""
    names = [f"{table.stem}.{ending}" for table in tables for ending in ENDINGS]
    return ["metrics.csv", "evaluation.json", *names, *(["report.html"] if report else [])]


def write_results(found: Evaluation) -> list[Path]:
    """
    Write ``metrics.csv``, every table, ``evaluation.json`` and the report.

    Returns:
        the tables' JSON files.

    Raises:
        InputError: a file of these names that mededit did not write, or an evaluation before this one that is damaged.
    """
    folder = Path(found.options.output)
    OutputFolder(folder).reserve(result_names(found.tables, found.options.report))
    kept_rows, kept_lines, kept_tables = _kept(folder, found)
    lines = [line for (_, lines) in found.lines.items() for line in lines]
    write_text(folder / "metrics.csv", csv_text([*lines, *kept_lines]))
    written = []
    for table in found.tables:
        content = table_content(found, table)
        written.append(write_table(folder, table.stem, content, table_lines(content), table_markdown(content)))
    options = dict(sorted({**kept_tables, **{table.table: table.option for table in found.tables}}.items()))
    facts = {
        "note": DISCLAIMER,
        "synthetic": True,
        "command": found.command(list(options.values())),
        "versions": versions(),
        **found.request,
        "tables": list(options),
        "table_options": options,
        "triplets": dict(found.counts),
        "real_images": found.real,
        "rows": {**{key: row.facts() for key, row in found.rows.items()}, **kept_rows},
    }
    write_json(folder / "evaluation.json", json.loads(json.dumps(facts, default=str)))
    if found.options.report:
        from mededit_monai.reports.evaluation_report import write_report  # it draws, which takes long to import

        write_report(folder, found.options.html)
    return written


def table_content(found: Evaluation, table: Table) -> dict[str, Any]:
    """A table's JSON."""
    columns = table_columns(table.columns, found.extractors, found.pairings)
    rows = [_table_row(found, table, entry, columns) for entry in table.rows]
    compared = comparisons(table, columns, found.scorer)
    return {
        "table": table.table,
        "title": table.title,
        "synthetic": True,
        "bundle": found.job.root.name,
        "condition": table.condition,
        "kind": table.kind,
        "preset": found.options.preset,
        "columns": [
            {"key": c.key, "label": c.label, "better": c.better, "pairing": c.pairing, "note": c.note} for c in columns
        ],
        "rows": rows,
        "comparisons": compared,
        "notes": table_notes(found, table, compared),
        "extractors": {ending.removeprefix("_") or "embedded": name for ending, name in found.extractors.items()},
        "command": found.command([table.option]),
    }


def _table_row(found: Evaluation, table: Table, entry: TableRow, columns: Sequence[Column]) -> dict[str, Any]:
    key = table.row_key(entry)
    row = found.rows[key]
    lines = [line for pairing in found.pairings for line in found.lines.get((key, pairing), ())]
    edited = [line for line in lines if line["seconds"]]
    return {
        "row": key,
        "label": entry.label,
        "settings": dict(row.settings),
        "nfe": int(np.mean([line["nfe"] for line in lines])) if lines else None,
        "seconds": float(np.mean([line["seconds"] for line in edited])) if edited else None,
        "figures": {column.key: found.scorer.figure(key, column, table.condition) for column in columns},
        "published": _published(entry, found.extractors),
    }


def _published(entry: TableRow, extractors: Mapping[str, str]) -> dict[str, float]:
    """By the column they stand beside: those of features beside RadImageNet's, the thesis's, where it is there."""
    ending = "_radimagenet" if "_radimagenet" in extractors else ""
    return {f"{k}{ending}" if k in ("fid", "combined") else k: value for k, value in entry.published.items()}


def _kept(folder: Path, found: Evaluation) -> tuple[dict[str, Any], list[dict[str, str]], dict[str, str]]:
    """
    Rows, lines and tables (name → :attr:`Table.option`) of an evaluation that was here before, if they go with this
    one; else its tables go.

    They go with it if what was asked is the same, and no row of both has other settings or weights.
    """
    before, lines = _before(folder)
    if before is None:
        return {}, [], {}
    wanted = json.loads(json.dumps(found.request, default=str))
    rows = {key: json.loads(json.dumps(row.facts(), default=str)) for key, row in found.rows.items()}
    old = before.get("rows", {})
    fits = all(before.get(key) == value for key, value in wanted.items())
    fits &= all(_deciding(old[key]) == _deciding(rows[key]) for key in set(old) & set(rows))
    own = {table.table for table in found.tables}
    others = [str(number) for number in before.get("tables", []) if str(number) not in own]
    if not fits:
        for number in others:
            for ending in ENDINGS:
                remove_listed_file(folder / f"table_{number.replace('.', '_')}.{ending}")
        return {}, [], {}
    kept = {key: row for key, row in old.items() if key not in rows}
    options = before.get("table_options", {})
    return kept, [dict(line) for line in lines if line["row"] in kept], {n: str(options.get(n, n)) for n in others}


def _before(folder: Path) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
    """``evaluation.json`` and the lines of ``metrics.csv`` that are there already; None and nothing without."""
    places = (folder / "evaluation.json", folder / "metrics.csv")
    if not all(place.is_file() for place in places):
        return None, []
    place = places[0]
    try:
        before = json.loads(place.read_bytes())
        if not isinstance(before, dict) or not isinstance(before.get("rows", {}), dict):
            raise ValueError("no object")
        place = places[1]
        lines = read_lines(place)
        if any("row" not in line for line in lines):
            raise ValueError("no column 'row'")
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{place}: is there and cannot be read as that of an evaluation ({str(error)[:80]}); move it away, or "
            f"choose another --output_dir."
        ) from error
    return before, lines


def _deciding(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in ("settings", "weights_sha256", "effects_weights_sha256", "measured")}

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of an evaluation: ``metrics.csv``, and each table as JSON for programs, CSV and Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mededit_monai.evaluation.columns import ARROWS, COLUMNS, PAIRING_TITLES
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.reports.plain_text import markdown_table

#: What stands on top of every table.
EVERY_EDIT = "Every edit is synthetic. Research use only, not a medical device."

#: Costs of a row: columns of their own beside the figures.
COSTS = ("nfe", "seconds")

#: Parts of a figure in a CSV file, by the ending of their column.
PARTS = {"": "value", "_low": "low", "_high": "high", "_cases": "n_cases", "_groups": "n_groups"}


def csv_text(lines: Iterable[Mapping[str, Any]], digits: int = 8) -> str:
    """Lines as CSV, under all names that any of them has; what a line does not have, None and NaN are empty."""

    def short(value: Any) -> Any:
        return f"{value:.{digits}g}" if isinstance(value, float) and value == value else value

    return pd.DataFrame(list(lines)).map(short).to_csv(index=False, lineterminator="\n")


def read_lines(path: Path) -> list[dict[str, str]]:
    """Lines of a CSV file as text, by the names in its head; ValueError or csv.Error where it is none."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def write_table(
    folder: Path, stem: str, content: Mapping[str, Any], lines: Iterable[Mapping[str, Any]], text: str, digits: int = 8
) -> Path:
    """
    Write ``STEM.json``, ``.csv`` and ``.md``.

    Args:
        content: of the JSON; lines: of the CSV, with so many digits; text: Markdown.

    Returns:
        the first.
    """
    write_json(folder / f"{stem}.json", content)
    write_text(folder / f"{stem}.csv", csv_text(lines, digits))
    write_text(folder / f"{stem}.md", text)
    return folder / f"{stem}.json"


def figure_cells(key: str, figure: Mapping[str, Any] | None, endings: Iterable[str] = PARTS) -> dict[str, Any]:
    """A figure as columns of a CSV file."""
    return {f"{key}{ending}": (figure or {}).get(PARTS[ending]) for ending in endings}


def table_lines(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table's lines of CSV: value, ends of the interval and counts of every column, published figures beside it."""
    published = {key for row in content["rows"] for key in row["published"]}
    lines = []
    for row in content["rows"]:
        line = {key: row[key] for key in ("row", "label", *COSTS)}
        for key in (column["key"] for column in content["columns"]):
            line |= figure_cells(key, row["figures"].get(key))
            line |= {f"{key}_published": row["published"].get(key)} if key in published else {}
        lines.append(line)
    return lines


def table_markdown(content: Mapping[str, Any]) -> str:
    """A table for people: figures with intervals by pairing, comparisons, what was published, notes."""
    lines = [f"# Table {content['table']}: {content['title']}", "", f"{EVERY_EDIT} Preset: {content['preset']}.", ""]
    for pairing in dict.fromkeys(column["pairing"] for column in content["columns"]):
        columns = [column for column in content["columns"] if column["pairing"] == pairing]
        lines += [f"## {PAIRING_TITLES[pairing]}", "", *_figures(content, columns), ""]
    lines += [
        "n: cases / anatomies (patients). NFE: network evaluations per edit; seconds: per edit. In brackets: 95 % "
        "intervals; in square ones the cases, where fewer than n have the figure.",
        "",
    ]
    lines += _published(content)
    lines += _comparisons(content)
    lines += ["## Notes", ""]
    lines += [f"- {column['label']}: {column['note']}" for column in content["columns"] if column["note"]]
    lines += [f"- {note}" for note in content["notes"]]
    return "\n".join([*lines, "", f"    {content['command']}", ""])


def _figures(content: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = ["row", "n", *(f"{c['label']} {ARROWS[c['better']]}".rstrip() for c in columns), "NFE", "seconds"]
    rows = []
    for row in content["rows"]:
        figures = [row["figures"].get(column["key"]) for column in columns]
        known = [f for f in figures if f]
        count, most = "–", 0
        if known:
            largest = max(known, key=lambda f: f["n_cases"])
            most = largest["n_cases"]
            count = f"{most} / {largest['n_groups']}"
        cells = [interval(f) + (f" [{f['n_cases']}]" if f and f["n_cases"] < most else "") for f in figures]
        rows.append([row["label"], count, *cells, number(row["nfe"]), number(row["seconds"])])
    return markdown_table(heads, rows)


def _published(content: Mapping[str, Any]) -> list[str]:
    keys = list(dict.fromkeys(key for row in content["rows"] for key in row["published"]))
    if not keys:
        return []
    rows = [
        [row["label"], *(number(row["published"].get(key)) for key in keys)]
        for row in content["rows"]
        if row["published"]
    ]
    plain = [key.removesuffix("_radimagenet") for key in keys]  # the thesis's features are all RadImageNet's
    heads = ["row", *(COLUMNS[key].label if key in COLUMNS else f"readers: {key}" for key in plain)]
    return ["## Published in the thesis, on other data", "", *markdown_table(heads, rows), ""]


def _comparisons(content: Mapping[str, Any]) -> list[str]:
    found = content["comparisons"]
    labels = {row["row"]: row["label"] for row in content["rows"]}
    lines = []
    for base in dict.fromkeys(item["row"] for item in found):
        own = [item for item in found if item["row"] == base]
        columns = [c for c in content["columns"] if any(item["column"] == c["key"] for item in own)]
        rows = []
        for other in dict.fromkeys(item["against"] for item in own):
            by_column = {item["column"]: item for item in own if item["against"] == other}
            rows.append([labels[other], *(_difference(by_column.get(c["key"])) for c in columns)])
        heads = ["against", *(c["label"] for c in columns)]
        lines += [f"## {labels[base]} minus the others, on the same cases", "", *markdown_table(heads, rows), ""]
    return lines


def _difference(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return "–"
    test = "" if item["p"] is None else f", p {item['p']:.2g} → {item['p_holm']:.2g}"
    sign = "+" if item["difference"] > 0 else ""
    return f"{sign}{number(item['difference'])} ({number(item['low'])} … {number(item['high'])}{test})"


def interval(figure: Mapping[str, Any] | None) -> str:
    """A figure with its interval; a dash for none."""
    if not figure:
        return "–"
    if figure["low"] is None or figure["high"] is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])} … {number(figure['high'])})"


def number(value: Any, missing: str = "–") -> str:
    """Three significant digits, all digits of larger numbers."""
    return missing if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

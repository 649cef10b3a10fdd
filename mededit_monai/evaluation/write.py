# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of an evaluation: ``metrics.csv``, and each table as JSON for programs, CSV and Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.plain_text import table_cell

#: Costs of a row: columns of their own beside the figures.
COSTS = ("nfe", "seconds")


def write_metrics(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """``metrics.csv``: a line a row, pairing and case; figures that a line does not have, or NaN, are empty."""
    lines = list(lines)
    names = list(dict.fromkeys(name for line in lines for name in line))
    cells = [[_cell(line.get(name, "")) for name in names] for line in lines]
    write_text(path, csv_text([names, *cells]))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.8g}" if value == value else ""
    return str(value)


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def write_table(folder: Path, stem: str, content: Mapping[str, Any]) -> None:
    """Write ``STEM.json``, ``.csv`` and ``.md``; the content is that of the JSON."""
    write_json(folder / f"{stem}.json", content)
    write_text(folder / f"{stem}.csv", csv_text(table_cells(content)))
    write_text(folder / f"{stem}.md", table_markdown(content))


def table_cells(content: Mapping[str, Any]) -> list[list[Any]]:
    """A table as CSV rows: value, ends of the interval and counts of every column, published figures beside it."""
    published = _published_keys(content)
    head = ["row", "label", *COSTS]
    for column in content["columns"]:
        key = column["key"]
        head += [key, f"{key}_low", f"{key}_high", f"{key}_cases", f"{key}_groups"]
        head += [f"{key}_published"] if key in published else []
    rows = []
    for row in content["rows"]:
        cells = [row["row"], row["label"], *(_plain(row[cost]) for cost in COSTS)]
        for column in content["columns"]:
            key = column["key"]
            figure = row["figures"].get(key) or {}
            cells += [_plain(figure.get(part)) for part in ("value", "low", "high", "n_cases", "n_groups")]
            cells += [_plain(row["published"].get(key))] if key in published else []
        rows.append(cells)
    return [head, *rows]


def _plain(value: Any) -> Any:
    return "" if value is None else f"{value:.8g}" if isinstance(value, float) else value


def _published_keys(content: Mapping[str, Any]) -> set[str]:
    return {key for row in content["rows"] for key in row["published"]}


def table_markdown(content: Mapping[str, Any]) -> str:
    """A table for people: figures with intervals by pairing, comparisons, what was published, notes."""
    lines = [f"# Table {content['table']}: {content['title']}", "", f"{DISCLAIMER} Preset: {content['preset']}.", ""]
    titles = {
        "thesis": "Scan and mask of different people, as in the thesis",
        "paired": "Scan, mask and true counterfactual of the same case",
    }
    for pairing in dict.fromkeys(column["pairing"] for column in content["columns"]):
        columns = [column for column in content["columns"] if column["pairing"] == pairing]
        lines += [f"## {titles[pairing]}", "", *_figures(content, columns), ""]
    lines += [
        "n: cases / anatomies (patients). NFE: network evaluations an edit; seconds: an edit. In brackets: 95 %.",
        "",
    ]
    lines += _published(content)
    lines += _comparisons(content)
    lines += ["## Notes", ""]
    lines += [f"- {column['label']}: {column['note']}" for column in content["columns"] if column["note"]]
    lines += [f"- {note}" for note in content["notes"]]
    return "\n".join([*lines, "", f"    {content['command']}", ""])


def _figures(content: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> list[str]:
    arrows = {"lower": " ↓", "higher": " ↑", "one": " → 1", "none": ""}
    heads = ["row", "n", *(c["label"] + arrows[c["better"]] for c in columns), "NFE", "seconds"]
    rows = []
    for row in content["rows"]:
        figures = [row["figures"].get(column["key"]) for column in columns]
        known = [f for f in figures if f]
        count = "–"
        if known:
            largest = max(known, key=lambda f: f["n_cases"])
            count = f"{largest['n_cases']} / {largest['n_groups']}"
        rows.append([row["label"], count, *map(interval, figures), number(row["nfe"]), number(row["seconds"])])
    return _grid(heads, rows)


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
    return ["## Published in the thesis, on other data", "", *_grid(heads, rows), ""]


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
        lines += [f"## {labels[base]} minus the others, on the same cases", "", *_grid(heads, rows), ""]
    return lines


def _difference(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return "–"
    test = "" if item["p"] is None else f", p {item['p']:.2g}"
    sign = "+" if item["difference"] > 0 else ""
    return f"{sign}{number(item['difference'])} ({number(item['low'])} … {number(item['high'])}{test})"


def interval(figure: Mapping[str, Any] | None) -> str:
    """A figure with its interval; a dash for none."""
    if not figure:
        return "–"
    if figure["low"] is None or figure["high"] is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])} … {number(figure['high'])})"


def number(value: Any) -> str:
    """Three significant digits, all digits of larger numbers; a dash for none."""
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[table_cell(cell) for cell in row] for row in [heads, *rows]]
    rule = "|" + "---|" * len(heads)
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], rule, *lines[1:]]

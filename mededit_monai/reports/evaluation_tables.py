# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation's tables as a report shows them: rounded, with intervals, the best marked, published figures beside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from mededit_monai.evaluation.columns import ARROWS, PAIRING_TITLES
from mededit_monai.evaluation.tables import known_tables


def best_rows(figures: Sequence[Mapping[str, float] | None], better: str) -> set[int]:
    """
    Rows to mark: the best, and every row whose interval overlaps the best one's.

    Args:
        figures: of one column, a row each, with ``value``, ``low``, ``high``; None: not measured.
        better: ``lower``, ``higher``, ``one`` (nearest to 1) or ``none``.

    Returns:
        their numbers; none where fewer than two rows have a value or nothing is better.
    """
    known = {k: f for k, f in enumerate(figures) if f and is_number(f.get("value"))}
    if len(known) < 2 or better not in ("lower", "higher", "one"):
        return set()
    rank = {"lower": lambda v: v, "higher": lambda v: -v, "one": lambda v: abs(v - 1)}[better]
    best = min(known, key=lambda k: rank(known[k]["value"]))
    return {k for k, f in known.items() if k == best or _overlap(known[best], f)}


def _overlap(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    ends = [_ends(f) for f in (first, second)]
    return ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1]


def _ends(figure: Mapping[str, float]) -> tuple[float, float]:
    """Interval of a figure; without one the value alone."""
    low, high = figure.get("low"), figure.get("high")
    return (low, high) if is_number(low) and is_number(high) else (figure["value"], figure["value"])  # type: ignore


def is_number(value: Any) -> TypeGuard[float]:
    """A number that is not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def decimals(values: Sequence[float]) -> int:
    """Decimals for a column, so that its largest entry has about three significant digits."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return int(min(5, max(0, 2 - math.floor(math.log10(largest))))) if largest > 0 else 2


def number(value: Any, places: int = 2) -> str:
    """A number as text with a true minus; a dash for none."""
    if not is_number(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def span(low: Any, high: Any, places: int = 2) -> str:
    """An interval as text; thin spaces keep a table narrow."""
    return f"{number(low, places)}\u2009…\u2009{number(high, places)}"


def p_value(value: Any) -> str:
    """p as text, never 0."""
    if not is_number(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def control(row: Mapping[str, Any]) -> str | None:
    """Word of the control that a row is (``truth``, ``no_edit``, …); None for a method."""
    return row.get("settings", {}).get("control")


def table_view(table: Mapping[str, Any]) -> dict[str, Any]:
    """
    A ``table_5_*.json`` for the template: blocks of columns with the same pairing, notes, comparisons.

    Args:
        table: its content.
    """
    columns = table.get("columns", [])
    pairings = list(dict.fromkeys(column.get("pairing") for column in columns))
    blocks = [_block(table, [c for c in columns if c.get("pairing") == p], p, k) for k, p in enumerate(pairings)]
    return {
        "key": str(table["table"]).replace(".", "_"),
        "thesis": table["table"] if str(table["table"]) in known_tables() else None,
        "title": table.get("title", ""),
        "blocks": blocks,
        "published": any(column["published"] for block in blocks for column in block["columns"]),
        "controls": any(control(row) for row in table["rows"]),
        "truth": any(control(row) == "truth" for row in table["rows"]),
        "also_published": _without_column(table),
        "notes": table.get("notes", []),
        "comparisons": _comparisons(table),
        "command": table.get("command"),
    }


def _block(table: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], pairing: Any, place: int) -> dict[str, Any]:
    rows = table["rows"]
    heads: list[dict[str, Any]] = []
    notes: list[dict[str, str]] = []
    cells: list[list[dict[str, Any]]] = [[] for _ in rows]
    for column in columns:
        key = column["key"]
        figures = [row.get("figures", {}).get(key) for row in rows]
        published = [row.get("published", {}).get(key) for row in rows]
        if column.get("note"):
            notes.append({"mark": chr(ord("a") + len(notes)), "text": column["note"]})
        heads.append(
            {
                "label": column.get("label", key),
                "arrow": ARROWS.get(column.get("better", "none"), ""),
                "mark": notes[-1]["mark"] if column.get("note") else "",
                "published": any(is_number(value) for value in published),
            }
        )
        ranked = [None if control(row) == "truth" else figure for row, figure in zip(rows, figures)]
        marked = best_rows(ranked, column.get("better", "none"))
        digits = max((len(f"{v:g}".partition(".")[2]) for v in published if is_number(v)), default=0)
        places = decimals([f["value"] for f in figures if f and is_number(f.get("value"))])
        for k, (figure, other) in enumerate(zip(figures, published)):
            cells[k].append(
                _cell(figure, places, k in marked) | {"published": number(other, digits) if is_number(other) else ""}
            )
    elsewhere = {c["key"] for c in table["columns"]} - {c["key"] for c in columns}
    shown = [k for k, row in enumerate(rows) if _any_known(cells[k]) or (place == 0 and not _measured(row, elsewhere))]
    views = [_row(rows[k], cells[k]) for k in shown]
    return {
        "title": PAIRING_TITLES.get(str(pairing), ""),
        "columns": heads,
        "rows": views,
        "notes": notes,
        "costs": place == 0 and any(is_number(row.get("nfe")) or is_number(row.get("seconds")) for row in rows),
    }


def _any_known(cells: Sequence[Mapping[str, Any]]) -> bool:
    return any(cell["value"] != "–" or cell["published"] for cell in cells)


def _measured(row: Mapping[str, Any], keys: set[str]) -> bool:
    """Whether a row has a figure in any of some columns; one that has none at all stands in the first block."""
    return any(row.get("figures", {}).get(key) for key in keys)


def _cell(figure: Mapping[str, Any] | None, places: int, best: bool) -> dict[str, Any]:
    if not figure or not is_number(figure.get("value")):
        return {"value": "–", "interval": "", "n": None, "best": False}
    low, high = figure.get("low"), figure.get("high")
    known = is_number(low) and is_number(high)
    return {
        "value": number(figure["value"], places),
        "interval": span(low, high, places) if known else "",
        "n": _n(figure),
        "best": best,
    }


def _row(row: Mapping[str, Any], cells: list[dict[str, Any]]) -> dict[str, Any]:
    """A row with its n, and the n of single cells only where they differ from it."""
    common = Counter(cell["n"] for cell in cells if cell["n"]).most_common(1)
    n = common[0][0] if common else "–"
    return {
        "row": row["row"],
        "label": row.get("label", row["row"]),
        "control": control(row),
        "n": n,
        "cells": [cell | {"n": cell["n"] if cell["n"] != n else None} for cell in cells],
        "nfe": number(row.get("nfe"), 0),
        "seconds": number(row.get("seconds"), 2),
    }


def _n(figure: Mapping[str, Any]) -> str | None:
    cases, groups = figure.get("n_cases"), figure.get("n_groups")
    if cases is None:
        return None
    return f"{cases}" if groups is None else f"{cases} / {groups}"


def _without_column(table: Mapping[str, Any]) -> list[dict[str, str]]:
    """Published figures for which this evaluation has no column, as a line a row."""
    keys = {column["key"] for column in table.get("columns", [])}
    lines = []
    for row in table["rows"]:
        others = {k: v for k, v in row.get("published", {}).items() if k not in keys and is_number(v)}
        if others:
            text = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in others.items())
            lines.append({"label": row.get("label", row["row"]), "text": text})
    return lines


def _comparisons(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A grid for every row that others were compared with: a line a figure, a column a row."""
    labels = {row["row"]: row.get("label", row["row"]) for row in table["rows"]}
    found = {(c["row"], c["against"], c["column"]): c for c in table.get("comparisons", [])}
    grids = []
    for base in dict.fromkeys(first for first, _, _ in found):
        others = list(dict.fromkeys(second for first, second, _ in found if first == base))
        lines = []
        for column in table.get("columns", []):
            line = [found.get((base, other, column["key"])) for other in others]
            if any(line):
                lines.append(_comparison_line(column, line))
        names = [labels.get(other, other) for other in others]
        grids.append({"first": labels.get(base, base), "others": names, "lines": lines})
    return grids


def _comparison_line(column: Mapping[str, Any], line: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    places = decimals([c["difference"] for c in line if c and is_number(c.get("difference"))])
    common = Counter(_n(c) for c in line if c and _n(c)).most_common(1)
    n = common[0][0] if common else "–"
    cells: list[dict[str, Any] | None] = []
    for found in line:
        if found is None:
            cells.append(None)
            continue
        low, high = found.get("low"), found.get("high")
        known = is_number(low) and is_number(high)
        cells.append(
            {
                "difference": number(found.get("difference"), places),
                "interval": span(low, high, places) if known else "",
                "apart": is_number(low) and is_number(high) and (low > 0 or high < 0),
                "p": p_value(found["p"]) if is_number(found.get("p")) else "",
                "p_holm": p_value(found["p_holm"]) if is_number(found.get("p_holm")) else "",
                "n": _n(found) if _n(found) != n else None,
            }
        )
    arrow = ARROWS.get(column.get("better", "none"), "")
    return {"label": column.get("label", column["key"]), "arrow": arrow, "n": n, "cells": cells}

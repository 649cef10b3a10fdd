# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a bench: JSON for programs, CSV and Markdown for people, and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.write import EVERY_EDIT, figure_cells, number, write_table
from mededit_monai.reports.plain_text import markdown_table

#: Costs of a row, and their heads in the table for people.
COSTS = {
    "nfe": "NFE",
    "seconds": "s per edit",
    "fewer_evaluations": "fewer NFE",
    "faster": "faster",
    "memory_mb": "peak MB",
    "per_minute": "cases per minute",
}

#: What :func:`write_bench` writes.
BENCH_FILES = ("bench.json", "bench.csv", "bench.md", "bench.png", "bench_start.png")


def write_bench(folder: Path, content: Mapping[str, Any]) -> Path:
    """
    Write ``bench.json``, ``bench.csv``, ``bench.md`` and ``bench.png``, and ``bench_start.png`` if a row has a start.

    Returns:
        the first.
    """
    from mededit_monai.reports.bench_plots import save_plot, save_start_plot  # they take long to import

    written = write_table(folder, "bench", content, bench_lines(content), bench_markdown(content), digits=6)
    save_plot(content, folder / "bench.png")
    save_start_plot(content, folder / "bench_start.png")
    return written


def bench_lines(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of CSV: costs, each figure with its interval, and the comparison with the reference."""
    lines, undecided = [], undecided_margins(content)
    for row in content["rows"]:
        other = row["against_reference"] or {}
        line = {key: row[key] for key in ("row", "label", "group", "value", "n_cases", *COSTS)}
        for key, figure in row["figures"].items():
            line |= figure_cells(key, figure, ("", "_low", "_high"))
        for name in content["margins"]:
            line |= {f"{name}_{part}": (other.get(name) or {}).get(part) for part in ("advantage", "bound", "margin")}
        verdict = _verdict(other, undecided) if other else None
        lines.append(line | {"no_worse": verdict, "zone_share": other.get("zone_share")})
    return lines


def bench_markdown(content: Mapping[str, Any]) -> str:
    """The table for people, the comparison with the reference, and what else was timed."""
    counts, judge, machine = content["cases"], content["judge"] or {"name": "none of volumes"}, content["machine"]
    where = "a CPU" if machine["device"] == "CPU" else machine["device"]
    heads = ["setting", "n", *COSTS.values(), *(COLUMNS[key].label for key in content["rows"][0]["figures"])]
    rows = []
    for row in content["rows"]:
        name = f"**{row['label']}**" if row["row"] in (content["reference"], content["default"]) else row["label"]
        figures = [(figure or {}).get("value") for figure in row["figures"].values()]
        rows.append([name, row["n_cases"], *(_short(value) for value in [*(row[cost] for cost in COSTS), *figures])])
    text = [
        f"# Speed against quality: {content['bundle']}",
        "",
        EVERY_EDIT,
        "",
        f"{counts['triplets']} simulated pairs of {counts['groups']} held-out anatomies (fewer where n says so); "
        f"figures are means over the cases. Times: one edit after start-up, on {where} with "
        f"{machine['threads']} threads. Peak memory is counted above what was held before the edit. "
        f"Judge: {judge['name']}.",
        "",
        *markdown_table(heads, rows),
        "",
    ]
    return "\n".join([*text, *comparison(content), *_left_out(content), *_speed(content)]) + "\n"


def comparison(content: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: which rows are no worse than the reference, by which bounds."""
    rows = [row for row in content["rows"] if row["against_reference"]]
    reference = next((row["label"] for row in content["rows"] if row["row"] == content["reference"]), None)
    if reference is None or not rows:
        return []
    margins, undecided = content["margins"], undecided_margins(content)
    cells = []
    for other in (row["against_reference"] for row in rows):
        bounds = [_bound(other[name]) for name in margins]
        cells.append([other["n_cases"], *bounds, _verdict(other, undecided), _short(other["zone_share"])])
    heads = ["setting", "n", *margins, "no worse", "error in M∖p"]
    return [
        f"## No worse than {reference}?",
        "",
        f"Paired one-sided 95 % bounds on the cases that both rows have (bootstrap over anatomies, then cases). "
        f"Allowed: {'; '.join(_allowed(name, margin) for name, margin in margins.items())}. Each cell: advantage "
        f"(bound; allowed). Error in M∖p: as a share of the reference's. Where the truth itself misses a bound, these "
        f"cases cannot decide it, and the bound is named as undecided.",
        "",
        *markdown_table(heads, [[row["label"], *line] for row, line in zip(rows, cells)]),
        "",
    ]


def _allowed(name: str, margin: float) -> str:
    """A margin in words."""
    column = COLUMNS[name]
    much = f"{margin:g}" if name == "dice" else f"{100 * margin:g} %"
    return f"{column.label} at most {much} {'lower' if column.better == 'higher' else 'higher'}"


def undecided_margins(content: Mapping[str, Any]) -> list[str]:
    """Margins that even the truth misses: too few cases, or a reference whose figure is not above chance."""
    truth = next((row["against_reference"] for row in content["rows"] if row["row"] == "truth"), None) or {}
    return [name for name in content["margins"] if truth.get(name) and not truth[name]["non_inferior"]]


def _verdict(other: Mapping[str, Any], undecided: Sequence[str]) -> str:
    if other["no_worse"] is None:
        return "not known"
    missed = [name for name, result in other.items() if isinstance(result, dict) and not result["non_inferior"]]
    if not missed:
        return "yes"
    return "no" if set(missed) - set(undecided) else f"yes, but {', '.join(missed)} undecided"


def _bound(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return ""
    return f"{_short(result['advantage'])} ({_short(result['bound'])}; {_short(-result['margin'])})"


def _left_out(content: Mapping[str, Any]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, reason in content["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    return [f"{', '.join(names)}: {reason}.\n" for reason, names in reasons.items()]


def _speed(content: Mapping[str, Any]) -> list[str]:
    if "start_up" not in content:
        return []
    training = content["training"]
    networks = [
        [entry["network"], f"{entry['parameters'] / 1e6:.1f} M", f"{entry['milliseconds']:.0f}"]
        for entry in content["networks"]
    ]
    return [
        "## Start-up, training, networks",
        "",
        *markdown_table(
            ["new process", "seconds"], [[name, f"{seconds:.2f}"] for name, seconds in content["start_up"].items()]
        ),
        "",
        f"Training in batches of 16: {training['steps_per_second']:.2f} steps per second; forward pass, backward pass "
        f"and optimizer alone: {training['bare_steps_per_second']:.2f}.",
        "",
        *markdown_table(["network", "parameters", "ms per evaluation"], networks),
        "",
    ]


def _short(value: Any) -> str:
    return number(value, missing="")

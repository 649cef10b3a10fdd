# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a bench: JSON for programs, CSV and Markdown for people, and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.write import csv_text
from mededit_monai.io.atomic import replacing, write_json, write_text
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, plain_legend, table_cell

COSTS = ("nfe", "seconds", "fewer_evaluations", "faster", "memory_mb", "per_minute")
HEADS = ("NFE", "s an edit", "fewer NFE", "faster", "peak MB", "cases a minute")

#: Panels of the plot over the number of evaluations.
PANELS = ("zone_error", "dice", "kid", "ventricle_error", "ventricle_r", "texture")


#: Series over ``--start``, panels of its own plot, and the row that starts at T.
START, START_WHOLE = "start", "mededit_25x2"
START_PANELS = ("zone_error", "contrast", "dice", "ventricle_error", "ventricle_slope", "texture")

#: What :func:`write_bench` writes.
BENCH_FILES = ("bench.json", "bench.csv", "bench.md", "bench.png", "bench_start.png")


def write_bench(folder: Path, content: Mapping[str, Any]) -> Path:
    """
    Write ``bench.json``, ``bench.csv``, ``bench.md`` and ``bench.png``, and ``bench_start.png`` if a row has a start.

    Returns:
        the first.
    """
    write_json(folder / "bench.json", content)
    write_text(folder / "bench.csv", csv_text(bench_cells(content)))
    write_text(folder / "bench.md", bench_markdown(content))
    save_plot(content, folder / "bench.png")
    if START in _series(content["rows"]):
        save_start_plot(content, folder / "bench_start.png")
    return folder / "bench.json"


def bench_cells(content: Mapping[str, Any]) -> list[list[Any]]:
    """CSV rows: costs, each figure with its interval, and the comparison with the reference."""
    keys = list(figure_keys(content))
    bounds = [f"{name}_{part}" for name in content["margins"] for part in ("advantage", "bound", "margin")]
    head = ["row", "label", "group", "value", "n_cases", *COSTS]
    head += [f"{key}{end}" for key in keys for end in ("", "_low", "_high")] + [*bounds, "no_worse", "zone_share"]
    cells = []
    for row in content["rows"]:
        line = [row["row"], row["label"], row["group"], _plain(row["value"]), row["n_cases"]]
        line += [_plain(row[cost]) for cost in COSTS]
        for key in keys:
            figure = row["figures"][key] or {}
            line += [_plain(figure.get(end)) for end in ("value", "low", "high")]
        other = row["against_reference"] or {}
        for name in content["margins"]:
            line += [_plain((other.get(name) or {}).get(part)) for part in ("advantage", "bound", "margin")]
        cells.append([*line, _plain(other.get("no_worse")), _plain(other.get("zone_share"))])
    return [head, *cells]


def figure_keys(content: Mapping[str, Any]) -> list[str]:
    """Keys of the figures, in the order of the table."""
    return list(content["rows"][0]["figures"]) if content["rows"] else []


def bench_markdown(content: Mapping[str, Any]) -> str:
    """The table for people, the comparison with the reference, and what else was timed."""
    counts, judge, machine = content["cases"], content["judge"], content["machine"]
    keys = figure_keys(content)
    text = [
        f"# Speed against quality: {content['bundle']}",
        "",
        f"{content['note']}",
        "",
        f"{counts['triplets']} simulated pairs of {counts['groups']} held-out anatomies (fewer where n says so); "
        f"figures are means over the cases. Times: {machine['device']}, {machine['threads']} threads, one edit after "
        f"start-up. Judge: {judge['name']}. Peak memory is above what was held before the edit.",
        "",
        "| setting | n | " + " | ".join([*HEADS, *(COLUMNS[key].label for key in keys)]) + " |",
        "|---" * (2 + len(HEADS) + len(keys)) + "|",
    ]
    for row in content["rows"]:
        label = table_cell(row["label"])
        name = f"**{label}**" if row["row"] in (content["reference"], content["default"]) else label
        costs = [_short(row[cost]) for cost in COSTS]
        figures = [_short((row["figures"][key] or {}).get("value")) for key in keys]
        text.append("| " + " | ".join([name, str(row["n_cases"]), *costs, *figures]) + " |")
    text += ["", *comparison(content), *_left_out(content), *_speed(content)]
    return "\n".join(text) + "\n"


def comparison(content: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: which rows are no worse than the reference, by which bounds."""
    rows = [row for row in content["rows"] if row["against_reference"]]
    reference = next((row["label"] for row in content["rows"] if row["row"] == content["reference"]), None)
    if reference is None or not rows:
        return []
    margins, undecided = content["margins"], undecided_margins(content)
    text = [
        f"## No worse than {reference}?",
        "",
        f"Paired one-sided 95 % bounds on the cases that both have (bootstrap over anatomies, then cases): Dice at "
        f"most {margins['dice']} lower, KID at most {margins['kid']:.0%} and ventricle error at most "
        f"{margins['ventricle_error']:.0%} higher. Each cell: advantage (bound; allowed). Error in M∖p: share of the "
        f"reference's. Where the truth itself misses a bound, these cases cannot decide it: it is named in place of a "
        f"verdict.",
        "",
        "| setting | n | " + " | ".join(margins) + " | no worse | error in M∖p |",
        "|---" * (4 + len(margins)) + "|",
    ]
    for row in rows:
        other = row["against_reference"]
        cells = [_bound(other[name]) for name in margins]
        verdict = _verdict(other, undecided)
        text.append(
            f"| {table_cell(row['label'])} | {other['n_cases']} | " + " | ".join(cells) + f" | {verdict} | "
            f"{_short(other['zone_share'])} |"
        )
    return [*text, ""]


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
    return [
        "## Start-up, training, networks",
        "",
        "| new process | seconds |",
        "|---|---|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in content["start_up"].items()),
        "",
        f"Training, batch of 16: {training['steps_per_second']:.2f} steps a second; forward, backward and optimizer "
        f"alone {training['bare_steps_per_second']:.2f}.",
        "",
        "| network | parameters | ms an evaluation |",
        "|---|---|---|",
        *(
            f"| {table_cell(entry['network'])} | {entry['parameters'] / 1e6:.1f} M | {entry['milliseconds']:.0f} |"
            for entry in content["networks"]
        ),
        "",
    ]


def save_plot(content: Mapping[str, Any], path: Path) -> None:
    """Figures over the number of evaluations: each series a line, the other rows dots."""
    series = {group: rows for group, rows in _series(content["rows"]).items() if group != START}
    axes, names = _panels(content, PANELS, path, "network evaluations")
    for key, panel in axes.items():
        panel.set_xscale("log")
        for colour, (group, rows) in zip(COLOURS, series.items()):
            names[group] = _line(panel, rows, "nfe", key, colour)
        for row in content["rows"]:
            if row["value"] is None and row["nfe"] and row["figures"][key]:
                marked = row["row"] == content["reference"]
                names["the reference" if marked else "other settings"] = panel.plot(
                    row["nfe"], row["figures"][key]["value"], "*" if marked else ".", ms=10 if marked else 5, color="k"
                )[0]
    _save(axes, names, path)


def save_start_plot(content: Mapping[str, Any], path: Path) -> None:
    """What a later start of the composed method keeps and loses: figures over ``start``."""
    axes, names = _panels(content, START_PANELS, path, "start, share of T")
    rows = _series(content["rows"])[START]
    whole = next((row for row in content["rows"] if row["row"] == START_WHOLE), None)
    shown = [*rows, *([dict(whole, value=1.0)] if whole else [])]
    for key, panel in axes.items():
        names["composed, begun from the noised scan"] = _line(panel, shown, "value", key, COLOURS[0])
    _save(axes, names, path)


def _panels(
    content: Mapping[str, Any], panels: Sequence[str], path: Path, label: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Axes by figure, with what no edit and the truth reach, and what the legend names."""
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    title = f"{content['bundle']}: simulated pairs, held-out anatomies. Synthetic; research use only."
    figure.suptitle(title, size=10, **PLAIN)
    names, axes = {}, {}
    for k, key in enumerate(key for key in panels if key in figure_keys(content)):
        axes[key] = panel = figure.add_subplot(2, 3, k + 1)
        panel.set_title(f"{COLUMNS[key].label} ({COLUMNS[key].better} is better)", size=9)
        panel.set_xlabel(label, size=8)
        panel.tick_params(labelsize=8)
        for row in content["rows"]:
            if row["row"] in ("no_edit", "truth") and row["figures"][key]:
                style = "--" if row["row"] == "no_edit" else ":"
                names[row["label"]] = panel.axhline(row["figures"][key]["value"], ls=style, color=GREY, lw=1)
    return axes, names


def _line(panel: Any, rows: Sequence[Mapping[str, Any]], x: str, key: str, colour: str) -> Any:
    shown = sorted((row for row in rows if row["figures"][key]), key=lambda row: row[x])
    values = [row["figures"][key]["value"] for row in shown]
    return panel.plot([row[x] for row in shown], values, "o-", ms=3, color=colour)[0]


def _save(axes: Mapping[str, Any], names: Mapping[str, Any], path: Path) -> None:
    figure = next(iter(axes.values())).figure
    handles, words = list(names.values()), list(names)
    plain_legend(figure, handles, words, loc="outside lower center", ncols=8, fontsize=8, frameon=False)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=110, format="png", metadata={"Software": None})


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["value"] is not None:
            found.setdefault(row["group"], []).append(row)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _short(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"

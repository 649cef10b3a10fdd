# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a downstream experiment for people: table, plot and page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.evaluation.write import csv_text
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, markdown_table, plain_legend

#: Everything that is written beside the runs.
FILES = ("results.json", "table.csv", "table.md", "cases.csv", "dice.png", "report.html")

HEADS = (
    *("row", "learns from", "Dice (95 %)", "s.d. of seeds", "IoU (95 %)"),
    *("Dice minus real (95 %)", "s.d. of seeds", "against real", "Dice in synthetic cases (95 %)", "published Dice"),
)


def report_files(content: Mapping[str, Any]) -> dict[str, bytes]:
    """
    ``table.csv``, ``table.md``, ``cases.csv``, ``dice.png`` and ``report.html``.

    Args:
        content: of ``results.json``.
    """
    picture = boxes(content)
    return {
        "table.csv": csv_text(map(_line, content["rows"])).encode(),
        "table.md": markdown(content).encode(),
        "cases.csv": csv_text(content["cases"]).encode(),
        "dice.png": picture,
        "report.html": page(content, picture).encode("utf-8", "surrogateescape"),
    }


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``table.csv``."""
    line = {key: row[key] for key in ("row", "label", "published_dice")}
    for figure in ("dice", "iou"):
        one, other = row[figure], row[figure]["against_real"] or {}
        line |= {f"{figure}{end}": one[key] for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))}
        line |= {f"{figure}_sd_seeds": one["sd_seeds"]}
        names = ("difference", "low", "high", "sd_seeds", "verdict")
        line |= {f"{figure}_minus_real{'' if key == 'difference' else f'_{key}'}": other.get(key) for key in names}
    seen = row["found_in_synthetic"] or {}
    line |= {
        f"dice_in_synthetic{end}": seen.get(key) for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    line |= {"n_in_synthetic": seen.get("n_cases", 0)}
    return line | {"n_cases": row["dice"]["n_cases"], "n_patients": row["dice"]["n_groups"]}


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table for people, under :data:`HEADS`."""
    dice, other = row["dice"], row["dice"]["against_real"]
    few, many = min(row["training_cases"]), max(row["training_cases"])
    found = [row["label"], f"{few}" if few == many else f"{few} to {many}", _interval(dice), f"{dice['sd_seeds']:.4f}"]
    found.append(_interval(row["iou"]))
    if other is None:
        found += ["–", "–", "–"]
    else:
        ends = f"{other['low']:+.4f} … {other['high']:+.4f}"
        found += [f"{other['difference']:+.4f} ({ends})", f"{other['sd_seeds']:.4f}", other["verdict"]]
    found.append("–" if row["found_in_synthetic"] is None else _interval(row["found_in_synthetic"]))
    return [*found, "–" if row["published_dice"] is None else f"{row['published_dice']:.4f}"]


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.4f} ({figure['low']:.4f} … {figure['high']:.4f})"


def remarks(content: Mapping[str, Any]) -> list[str]:
    """What has to be known to read the table, a sentence or two each."""
    c = content
    what = {"heads": "whole tumour", "lesions": "lesion"}[c["kind"]]
    size = "×".join(map(str, c["shape"]))
    found = [
        f"Segmentation of the {what} on {c['real_cases']} real cases of {c['patients']} patients ({size}"
        f"; {', '.join(c['channels'])}), each measured by the trainings that had not "
        f"seen its patient: {c['folds']} folds of patients, {c['seeds']} seeds.",
        f"Every row takes the same {c['iterations']} steps of {c['batch_size']} cases, however many cases it has.",
        f"Dice and IoU are means over cases and seeds ({c['rows'][0]['dice']['n_cases']} cases that show a lesion on "
        f"this grid); intervals by a bootstrap over patients, then cases, of the means over seeds.",
        f"Against real, {c['rule']}",
        "Published: Med-DDPM (arXiv 2305.18453) on its own data, with another network: to be seen beside these, "
        "not to be met by them.",
    ]
    if c["synthetic"]:
        found.append(
            f"{c['synthetic_cases']} synthetic cases; one is not learned from where the patient of its mask or scan is "
            f"held out. The network that made them may yet have seen held-out patients in its own training: --split "
            f"testing holds out those alone that it has not."
        )
        seen = [row["found_in_synthetic"]["n_cases"] for row in c["rows"] if row["found_in_synthetic"] is not None]
        if seen:
            found.append(
                f"Dice in synthetic cases: what a network that learned from real ones alone finds in {max(seen)} "
                f"synthetic ones of patients that it has not seen, beside its Dice in the real ones."
            )
    if c["cohort_is_simulated"]:
        found.append("The images called real here are simulated themselves, so this says nothing about patients.")
    return found


def markdown(content: Mapping[str, Any]) -> str:
    """``table.md``."""
    lines = [f"# Downstream segmentation: {content['cohort']}", "", content["note"], ""]
    lines += [*markdown_table(HEADS, map(cells, content["rows"])), ""]
    return "\n".join([*lines, *(f"- {text}" for text in remarks(content)), "", f"    {content['command']}", ""])


def boxes(content: Mapping[str, Any]) -> bytes:
    """PNG: a box a row over its trainings, each a point: mean Dice of the fold held out."""
    rows: Sequence[Mapping[str, Any]] = content["rows"]
    figure = Figure(figsize=(1.6 * len(rows) + 2.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    values = [[run["dice"] for run in row["runs"] if run["dice"] is not None] for row in rows]
    places = range(1, len(rows) + 1)
    drawn = axes.boxplot(values, positions=places, widths=0.5, showfliers=False, patch_artist=True)
    for box in drawn["boxes"]:
        box.set(facecolor="white", edgecolor=GREY)
    seeds = sorted({run["seed"] for row in rows for run in row["runs"]})
    handles, names = [], []
    for seed in seeds:
        points = [(k, run["dice"]) for k, row in zip(places, rows) for run in row["runs"] if run["seed"] == seed]
        points = [(x, y) for x, y in points if y is not None]
        shift = 0.3 * ((seed + 0.5) / len(seeds) - 0.5)
        colour = COLOURS[seed % len(COLOURS)]
        handles += axes.plot([x + shift for x, _ in points], [y for _, y in points], ".", color=colour, ms=6, zorder=3)
        names.append(f"seed {seed}")
    published = [(k, row["published_dice"]) for k, row in zip(places, rows) if row["published_dice"] is not None]
    if published:
        handles += axes.plot(*zip(*published), "D", mfc="none", color="black", ms=6, zorder=3)
        names.append("published, other data")
    axes.set_xticks(list(places))
    axes.set_xticklabels([row["label"] for row in rows], size=9)
    axes.set_ylabel("Dice of a held-out fold")
    axes.set_ylim(0, 1)
    axes.grid(axis="y", alpha=0.3)
    plain_legend(axes, handles, names, fontsize=8, loc="lower right")
    axes.set_title(f"{content['cohort']}: {content['note']}", size=9, **PLAIN)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, metadata={"Software": None})
    return stream.getvalue()


def page(content: Mapping[str, Any], picture: bytes) -> str:
    """``report.html``: one page that needs no other file."""
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("downstream.html").render(
        content=content,
        heads=HEADS,
        rows=list(map(cells, content["rows"])),
        remarks=remarks(content),
        picture=base64.b64encode(picture).decode(),
    )

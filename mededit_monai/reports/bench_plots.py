# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of a bench: figures over the number of evaluations, and over ``--start``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.io.atomic import replacing
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, plain_legend

#: Panels of the plot over the number of evaluations.
PANELS = ("zone_error", "dice", "kid", "ventricle_error", "ventricle_r", "texture")

#: The same of volumes.
VOLUME_PANELS = ("zone_error", "contrast", "slice_step", "lesion_auc", "end_point", "carried_error")

#: Series over ``--start``, panels of its own plot, and the row that starts at T.
START, START_WHOLE = "start", "mededit_25x2"
START_PANELS = ("zone_error", "contrast", "dice", "ventricle_error", "ventricle_slope", "texture")


def save_plot(content: Mapping[str, Any], path: Path) -> None:
    """Figures over the number of evaluations: each series a line, the other rows dots."""
    series = {group: rows for group, rows in _series(content["rows"]).items() if group != START}
    panels = VOLUME_PANELS if "slice_step" in content["rows"][0]["figures"] else PANELS
    axes, names = _panels(content, panels, "network evaluations")
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
    """What a later start of the composed method keeps and loses: figures over ``start``; nothing without such rows."""
    rows = _series(content["rows"]).get(START)
    if rows is None:
        return
    axes, names = _panels(content, START_PANELS, "start, share of T")
    whole = next((row for row in content["rows"] if row["row"] == START_WHOLE), None)
    shown = [*rows, *([dict(whole, value=1.0)] if whole else [])]
    for key, panel in axes.items():
        names["composed, begun from the noised scan"] = _line(panel, shown, "value", key, COLOURS[0])
    _save(axes, names, path)


def _panels(content: Mapping[str, Any], panels: Sequence[str], label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Axes by figure, with what no edit and the truth reach, and what the legend names."""
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    title = f"{content['bundle']}: simulated pairs, held-out anatomies. Synthetic; research use only."
    figure.suptitle(title, size=10, **PLAIN)
    names, axes = {}, {}
    for k, key in enumerate(key for key in panels if key in content["rows"][0]["figures"]):
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

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of an evaluation's report: one small SVG a panel, so that a page can set them beside or below one another."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mededit_monai.metrics.preservation import DISTANCE_EDGES, change_by_distance
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.metrics.truth import Agreement, change_agreement
from mededit_monai.reports.evaluation_folder import Case, EvaluationFolder, distance_columns, in_order
from mededit_monai.reports.evaluation_tables import ARROWS, control, is_number, number
from mededit_monai.reports.plain_text import PLAIN, plain_legend

#: Okabe and Ito's colours (safe for colour-blind readers), the thesis's method in the first of them.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#444444")
INK, GREY, PALE = "#24292f", "#8a9099", "#d8dbe0"

#: Who measured the ventricles' change → where it starts in ``metrics.csv``: a judge that looks at the edit, or the
#: prior's labels, carried by the edit's displacement.
MEASURED_BY = {"judge": "against_truth_", "carried": "carried_"}
PREDICTED, TRUE, AREA = "ventricle_change_predicted", "ventricle_change_true", "lesion_size"

#: Draws for intervals that are only drawn.
DRAWS = 500


@dataclass(frozen=True)
class Panel:
    """An SVG as a data URI, and what it shows in words."""

    source: str
    alt: str


def _figure(width: float, height: float, top: float = 0.3) -> Figure:
    """A figure in inches whose margins are fixed, so that the axes of panels beside one another are the same."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(
        left=0.66 / width, right=1 - 0.1 / width, bottom=0.46 / height, top=1 - top / height, hspace=0.12
    )
    return figure


def _panel(figure: Figure, alt: str) -> Panel:
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mededit"}):  # the same bytes every time
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return Panel("data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode(), alt)


def _calm(panel: Axes) -> None:
    """Few lines, small grey numbers."""
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color(GREY)
    panel.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=3)
    panel.grid(axis="y", color=PALE, linewidth=0.6)
    panel.set_axisbelow(True)


def method_colours(tables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A colour for every method by its label, the same in all figures; MedEdit's is the first. Controls have none."""
    rows = [row for table in tables if table.get("kind") == "methods" for row in table["rows"] if not control(row)]
    labels = dict.fromkeys(str(row.get("label", row["row"])) for row in rows)
    ordered = sorted(labels, key=lambda label: not label.lower().startswith("mededit"))
    return {label: COLOURS[k % len(COLOURS)] for k, label in enumerate(ordered)}


def ablation_panels(table: Mapping[str, Any]) -> list[Panel]:
    """
    Figures against k or U: value and interval; published values as open markers in a panel of their own below.

    Args:
        table: of kind ``kernel`` or ``resampling``. Columns with fewer than two values give no panel.
    """
    rows = in_order(table)
    axis = {"kernel": "kernel size k, pixels", "resampling": "resampling steps U"}[table["kind"]]
    panels = []
    for column in table["columns"]:
        known = [(x, row.get("figures", {}).get(column["key"])) for x, row in rows]
        known = [(x, figure) for x, figure in known if figure and is_number(figure.get("value"))]
        if len({x for x, _ in known}) < 2:
            continue
        published = [(x, row.get("published", {}).get(column["key"])) for x, row in rows]
        published = [(x, value) for x, value in published if is_number(value)]
        panels.append((not published, _ablation(column, known, published, axis, [x for x, _ in rows])))
    return [panel for _, panel in sorted(panels, key=lambda pair: pair[0])]  # those with published figures first


def _ablation(
    column: Mapping[str, Any], known: list, published: list[tuple[float, float]], axis: str, ticks: list[float]
) -> Panel:
    figure = _figure(3.2, 3.5 if published else 2.5)
    if published:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.1, 1))
        lower.plot(*zip(*published), "o:", color=GREY, markerfacecolor="white", markersize=5, linewidth=0.9)
        lower.set_ylabel("published", fontsize=8, color=GREY)
        lower.margins(y=0.35)
        _calm(lower)
    else:
        upper = lower = figure.subplots()
    x = [place for place, _ in known]
    values = [found["value"] for _, found in known]
    upper.plot(x, values, "o-", color=COLOURS[0], markersize=5, linewidth=1.6)
    banded = [
        (place, f["low"], f["high"]) for place, f in known if is_number(f.get("low")) and is_number(f.get("high"))
    ]
    if banded:
        upper.fill_between(*zip(*banded), color=COLOURS[0], alpha=0.15, linewidth=0)
    lower.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    lower.set_xlabel(axis, fontsize=8.5)
    label = f"{column.get('label', column['key'])} {ARROWS.get(column.get('better', 'none'), '')}".strip()
    upper.set_title(label, fontsize=9.5, loc="left", color=INK, **PLAIN)
    _calm(upper)
    told = ", ".join(f"{place:g}: {number(value, 3)}" for place, value in zip(x, values))
    return _panel(figure, f"{label} against {axis}: {told}")


def reach_mm(table: Mapping[str, Any], pixel_mm: float) -> tuple[int, float, float] | None:
    """
    How far M = dilate(p, k) reaches beyond p: the table's most frequent k > 1, and mm along a side and a diagonal.

    A k x k window reaches (k - 1) / 2 pixels sideways and √2 times that diagonally.
    """
    sizes = [row.get("settings", {}).get("dilation") for row in table["rows"]]
    sizes = [int(k) for k in sizes if isinstance(k, (int, float)) and k > 1]
    if not sizes:
        return None
    kernel = Counter(sizes).most_common(1)[0][0]
    side = (kernel - 1) / 2 * pixel_mm
    return kernel, side, math.sqrt(2) * side


def distance_panels(source: EvaluationFolder, table: Mapping[str, Any], colours: Mapping[str, str]) -> dict[str, Panel]:
    """
    Change against distance from p, all methods of a table in a panel a pairing.

    Returns:
        pairing → panel; only pairings for which ``metrics.csv`` has the columns.
    """
    columns = distance_columns({name for case in source.cases for name in case.figures})
    panels = {}
    for pairing in source.triplets or ("thesis", "paired"):
        shown = [
            row for row in table["rows"] if control(row) not in ("truth", "no_edit")
        ]  # dashed, and 0 by definition
        cases = {row["row"]: source.of(row["row"], pairing) for row in shown}
        curves = {
            str(row.get("label", row["row"])): found
            for row in shown
            if len(found := _curve(cases[row["row"]], columns)) > 1
        }
        if curves:
            names = dict.fromkeys(case.case_id for found in cases.values() for case in found)
            truth = _true_change(source, table, list(names)) if pairing == "paired" else []
            panels[pairing] = _distance(source, table, curves, truth, colours)
    return panels


def _curve(cases: Sequence[Case], columns: Sequence[tuple[str, float, float | None]]) -> list[tuple[float, ...]]:
    """Middle of each ring (mm) with mean change and interval, over anatomies, then cases."""
    points: list[tuple[float, ...]] = []
    for name, low, high in columns:
        known = [case for case in cases if name in case.figures]
        if known:
            values = np.array([case.figures[name] for case in known])
            found = bootstrap(values, [case.group for case in known], draws=DRAWS)
            points.append((_middle(low, high), found.value, found.low, found.high))
    return points


def _middle(low: float, high: float | None) -> float:
    return (low + high) / 2 if high is not None else low + 7.5  # the open ring is drawn a little beyond its edge


def _true_change(source: EvaluationFolder, table: Mapping[str, Any], names: Sequence[str]) -> list[tuple[float, float]]:
    """The true counterfactual's own change in the same rings: what a perfect edit would show."""
    disease = None if source.volumes else source.disease(table)
    rings = []
    for name in names if disease else ():
        parts = [source.plane("paired", name, key) for key in ("image", "prior", "pathology", "prior_brain")]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts) and (known[2] > 0).any():
            rings.append(change_by_distance(*known, disease.pixel_mm)[0])  # type: ignore[union-attr, call-arg, arg-type]
    if not rings:
        return []
    edges = list(zip(DISTANCE_EDGES, [*DISTANCE_EDGES[1:], None]))
    columns = np.stack(rings).T
    return [
        (_middle(*ends), float(np.nanmean(column)))
        for ends, column in zip(edges, columns)
        if not np.isnan(column).all()
    ]


def _distance(
    source: EvaluationFolder,
    table: Mapping[str, Any],
    curves: Mapping[str, list[tuple[float, ...]]],
    truth: list[tuple[float, float]],
    colours: Mapping[str, str],
) -> Panel:
    figure = _figure(5.6, 3.7, top=0.1)
    panel = figure.subplots()
    disease = source.disease(table)
    reach = reach_mm(table, disease.pixel_mm) if disease else None
    if reach:
        panel.axvspan(reach[1], reach[2], color="#eceef1", linewidth=0, zorder=0)
        place = (reach[1] + reach[2]) / 2
        panel.text(
            place, 0.98, f"edge of M\n(k = {reach[0]})", transform=panel.get_xaxis_transform(), fontsize=7.5,
            color=GREY, ha="center", va="top",
        )  # fmt: skip
    drawn, names = [], list(curves)
    for label, points in curves.items():
        x, value, low, high = (np.array(part) for part in zip(*points))
        if label not in colours:  # a control
            drawn += panel.plot(x, value, ":", color=GREY, linewidth=1.5)
            continue
        panel.fill_between(x, low, high, color=colours[label], alpha=0.12, linewidth=0)
        drawn += panel.plot(x, value, "o-", color=colours[label], markersize=3.5, linewidth=1.5)
    if truth:
        drawn += panel.plot(*zip(*truth), "--", color="black", linewidth=1.3)
        names.append("true counterfactual")
    panel.set_xlim(0, None)
    panel.set_ylim(0, None)
    panel.set_xlabel("distance from p, mm (last point: all beyond)", fontsize=8.5)
    panel.set_ylabel("mean |edit − prior|", fontsize=8.5)
    _calm(panel)
    plain_legend(panel, drawn, names, fontsize=7.5, frameon=False)
    return _panel(figure, f"change against distance from p for {', '.join(curves)}")


@dataclass(frozen=True)
class Scatter:
    """A method's panel of predicted against true change, and its agreement (None: fewer than three cases)."""

    label: str
    panel: Panel
    agreement: Agreement | None


def ventricle_scatters(
    source: EvaluationFolder, table: Mapping[str, Any], colours: Mapping[str, str], by: str = "judge"
) -> list[Scatter]:
    """
    Ventricle change of every paired case, predicted against true: a panel a row, all on the same axes.

    Args:
        by: one of :data:`MEASURED_BY`.
    """
    found, start = [], MEASURED_BY[by]
    for row in table["rows"]:
        cases = [_named(c, start) for c in source.of(row["row"], "paired")]
        cases = [c for c in cases if PREDICTED in c.figures and TRUE in c.figures]
        if cases and control(row) != "no_edit":
            found.append((str(row.get("label", row["row"])), cases))
    if not found:
        return []
    every = [(c.figures[TRUE], c.figures[PREDICTED]) for _, cases in found for c in cases]
    truths, predictions = np.array(every).T
    unit = "ml" if source.volumes else "mm²"
    return [_scatter(label, cases, _limits(truths), _limits(predictions), colours, unit) for label, cases in found]


def _named(case: Case, start: str) -> Case:
    """A case whose figures have their names without what they start with; others are left out."""
    return replace(case, figures={k.removeprefix(start): v for k, v in case.figures.items() if k.startswith(start)})


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def agreement_of(cases: Sequence[Case], by: str = "judge") -> Agreement | None:
    """Agreement of predicted and true ventricle change over anatomies, then cases, by one of :data:`MEASURED_BY`."""
    return _agreement([_named(case, MEASURED_BY[by]) for case in cases])


def _agreement(cases: Sequence[Case]) -> Agreement | None:
    columns = [[case.figures.get(name, np.nan) for case in cases] for name in (PREDICTED, TRUE, AREA)]
    if np.isnan(columns[2]).any():
        columns[2] = [0.0] * len(cases)  # without areas nothing is said about them
    try:
        predicted, true, area = (np.array(column) for column in columns)
        return change_agreement(predicted, true, area, [case.group for case in cases], draws=DRAWS)
    except ValueError:  # fewer than three cases
        return None


def _scatter(
    label: str,
    cases: Sequence[Case],
    across: tuple[float, float],
    upward: tuple[float, float],
    colours: Mapping[str, str],
    unit: str = "mm²",
) -> Scatter:
    figure = _figure(3.1, 3.4, top=0.78)
    panel = figure.subplots()
    true, predicted = (np.array([case.figures[name] for case in cases]) for name in (TRUE, PREDICTED))
    agreement = _agreement(cases)
    ends = np.array(across)
    panel.plot(ends, ends, color=GREY, linestyle=":", linewidth=1.1)
    panel.plot(true, predicted, "o", color=colours.get(label, GREY), markersize=4, alpha=0.65, markeredgewidth=0)
    words = f"n = {len(cases)}"
    if agreement and is_number(agreement.slope.value):
        line = predicted.mean() + agreement.slope.value * (ends - true.mean())
        panel.plot(ends, line, color=colours.get(label, GREY), linewidth=1.4)
        r = _short(agreement.r) if is_number(agreement.r.value) else "not defined, all predictions are equal"
        words = f"slope {_short(agreement.slope)}\nr {r}\nn = {len(cases)}"
    panel.set_xlim(*across)
    panel.set_ylim(*upward)
    panel.set_title(label, fontsize=9.5, loc="left", color=INK, pad=34, **PLAIN)
    panel.text(0.0, 1.02, words, transform=panel.transAxes, fontsize=8, color=INK, va="bottom", linespacing=1.25)
    panel.set_xlabel(f"true change, {unit}", fontsize=8.5)
    panel.set_ylabel(f"predicted change, {unit}", fontsize=8.5)
    _calm(panel)
    told = words.replace("\n", ", ")
    return Scatter(label, _panel(figure, f"{label}, ventricle change predicted against true: {told}"), agreement)


def _short(estimate: Any) -> str:
    return f"{number(estimate.value)} ({number(estimate.low)} … {number(estimate.high)})"

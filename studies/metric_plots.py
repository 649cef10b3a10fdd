# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plots for docs/concepts/metrics.md that show no scan; see :mod:`studies.metric_pictures`."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai import metrics
from mededit_monai.metrics.arrays import STROKE_PIXEL_MM
from mededit_monai.metrics.realism import frechet_distance, squared_mmd
from mededit_monai.space.masks import component_boxes


def sheet(columns: int, width: float, height: float, rows: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns panels; inches."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.1)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def growth(pair: dict, spacing: float) -> float:
    """True change of both ventricles of a pair, mm²."""
    return sum(metrics.ventricle_sizes(pair["ventricles"], spacing)) - sum(
        metrics.ventricle_sizes(pair["prior_ventricles"], spacing)
    )


def adherence(stroke: list[dict], tumor: list[dict]) -> Figure:
    """Lesions found one by one, and boxes."""
    y, x = np.mgrid[0:34, 0:60]
    wanted = (x - 14) ** 2 + 2 * (y - 16) ** 2 < 110
    wanted |= ((x - 30) ** 2 + (y - 7) ** 2 < 8) | ((x - 47) ** 2 + (y - 24) ** 2 < 22)
    found = ((x - 17) ** 2 + (y - 17) ** 2 < 60) | ((x - 49) ** 2 + (y - 23) ** 2 < 18)
    found |= (x - 48) ** 2 + (y - 8) ** 2 < 9
    figure, panels = sheet(2, 7.6, 2.7)
    hits = metrics.lesion_detection(found, wanted)
    overlap = (
        f"Dice {metrics.dice(found, wanted):.2f}   recall {hits.recall:.2f}   precision {hits.precision:.2f}   "
        f"F1 {hits.f1:.2f}"
    )
    boxes = metrics.box_overlap(found, wanted)
    for panel, title in zip(panels[0], (overlap, f"boxes: Dice {boxes[0]:.2f}   IoU {boxes[1]:.2f}")):
        panel.imshow(np.where(wanted, 0.55, 0), cmap="Reds", vmin=0, vmax=1, origin="lower")
        panel.contour(found.astype(float), [0.5], colors="#2060ff", linewidths=1.4)
        panel.set_title(title, fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    for mask, colour in ((component_boxes(wanted), "#ff4040"), (component_boxes(found), "#2060ff")):
        panels[0, 1].contour(mask.astype(float), [0.5], colors=colour, linewidths=1.3, linestyles="--")
    panels[0, 0].set_xlabel("red: wanted (p), blue: found by the judge", fontsize=8)
    panels[0, 1].set_xlabel("dashed: boxes fitted to each component", fontsize=8)
    return figure


def agreement(stroke: list[dict], tumor: list[dict]) -> Figure:
    """Predicted against true change for four imagined methods."""
    rng = np.random.default_rng(0)
    true = np.array([growth(p, STROKE_PIXEL_MM) for p in stroke])
    area = np.array([p["pathology"].sum() for p in stroke]) * STROKE_PIXEL_MM**2
    methods = {
        "follows the truth": true + 12 * rng.standard_normal(len(true)),
        "right order, half the size": 0.5 * true + 6 * rng.standard_normal(len(true)),
        "knows the lesion's area only": np.polyval(np.polyfit(area, true, 1), area)
        + 6 * rng.standard_normal(len(true)),
        "no effect": 4 * rng.standard_normal(len(true)),
    }
    figure, panels = sheet(4, 11.0, 3.0)
    for panel, (name, predicted) in zip(panels[0], methods.items()):
        found = metrics.change_agreement(predicted, true, area, draws=500)
        panel.plot(true, predicted, ".", markersize=5)
        ends = np.array([true.min(), true.max()])
        panel.plot(ends, ends, color="black", linewidth=0.8, linestyle=":")
        panel.set_title(
            f"{name}\nr {_value(found.r)}\nslope {_value(found.slope)}\ngiven area r {_value(found.partial_r)}",
            fontsize=8,
        )
        panel.set_xlabel("true change, mm²", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0, 0].set_ylabel("predicted change, mm²", fontsize=8)
    return figure


def _value(found) -> str:
    return f"{found.value:.2f} ({found.low:.2f} … {found.high:.2f})"


def realism(stroke: list[dict], tumor: list[dict]) -> Figure:
    """FID and KID of two samples of one distribution, and of a shifted one, against their size."""
    sizes, features = (10, 20, 40, 80, 160, 320), 64
    rng = np.random.default_rng(0)
    figure, panels = sheet(2, 7.4, 3.0)
    for panel, name, measure in zip(panels[0], ("FID", "KID (unbiased)"), (frechet_distance, squared_mmd)):
        for shift, label in ((0.0, "same distribution"), (0.15, "shifted")):
            runs = np.array(
                [
                    [
                        measure(rng.standard_normal((n, features)) + shift, rng.standard_normal((n, features)))
                        for n in sizes
                    ]
                    for _ in range(12)
                ]
            )
            panel.errorbar(sizes, runs.mean(axis=0), runs.std(axis=0), marker=".", capsize=2, label=label)
        panel.axhline(0, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_xticks(sizes, [str(n) for n in sizes])
        panel.minorticks_off()
        panel.set_title(f"{name}, 64 features", fontsize=9)
        panel.set_xlabel("images in each set", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7)
    return figure

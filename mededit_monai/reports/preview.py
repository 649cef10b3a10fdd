# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture beside every edit: prior, lesion outline, edit, signed difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.reports.provenance import DISCLAIMER


def edit_preview(
    prior: np.ndarray, edit: np.ndarray, pathology: np.ndarray, region: np.ndarray, path: str | Path, title: str = ""
) -> None:
    """
    Four panels in radiological display: nose up, the patient's left on the right.

    Args:
        prior, edit: slices in [0, 1], XxY in RAS order.
        pathology, region: masks, XxY.
        path: PNG to write.
        title: small line above the panels.
    """
    prior, edit, pathology, region = (plane[_shown_part(prior)] for plane in (prior, edit, pathology, region))
    figure = Figure(figsize=(12, 3.3), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 4)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    difference = upright(edit) - upright(prior)
    panels[0].imshow(upright(prior), **grey)
    panels[1].imshow(upright(prior), **grey)
    panels[2].imshow(upright(edit), **grey)
    shown = panels[3].imshow(difference, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
    for mask, colour, style in ((pathology, "#ff4040", "-"), (region, "#40c0ff", "--")):
        if mask.any() and not mask.all():
            panels[1].contour(upright(mask).astype(float), [0.5], colors=colour, linewidths=1.1, linestyles=style)
    names = ("prior scan", "lesion (red), region (blue)", "counterfactual (synthetic)", "edit − prior")
    for panel, name in zip(panels, names):
        panel.set_title(name, color="white", fontsize=9)
        panel.set_axis_off()
    bar = figure.colorbar(shown, ax=panels, fraction=0.015, pad=0.01)
    bar.ax.tick_params(colors="white", labelsize=7)
    figure.text(0.5, 0.01, f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=7.5, ha="center")
    figure.savefig(path, facecolor="black", bbox_inches="tight")


def _shown_part(prior: np.ndarray) -> tuple[slice, slice]:
    """A square around what is not background, with a small margin."""
    bright = np.argwhere(prior > 0.02)
    if not len(bright):
        return slice(None), slice(None)
    low, high = bright.min(0), bright.max(0)
    half = int((high - low).max() / 2) + 5
    first, last = ((low + high) // 2 - half).clip(0), ((low + high) // 2 + half + 1)
    return slice(first[0], last[0]), slice(first[1], last[1])


def upright(plane: np.ndarray) -> np.ndarray:
    """RAS slice (x to the right, y to the front) → image rows from the front, patient's left on the right."""
    return np.asarray(plane).T[::-1, ::-1]

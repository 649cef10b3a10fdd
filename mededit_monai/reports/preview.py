# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture beside every edit: prior, lesion outline, edit, signed difference, and how far tissue moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.io.atomic import replacing
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.plain_text import PLAIN

#: Width of a panel in inches.
PANEL = 2.6


def edit_preview(
    prior: np.ndarray,
    edit: np.ndarray,
    pathology: np.ndarray,
    region: np.ndarray,
    path: str | Path,
    title: str = "",
    displacement: np.ndarray | None = None,
) -> None:
    """
    Four panels in radiological display, five with a displacement: nose up, the patient's left on the right.

    Args:
        prior, edit: slices in [0, 1], XxY in RAS order.
        pathology, region: masks, XxY.
        path: PNG to write, whole or not at all.
        title: small line above the panels.
        displacement: how far tissue moved, mm, XxY.
    """
    shown, count = _shown_part(prior), 4 if displacement is None else 5
    prior, edit, pathology, region = (plane[shown] for plane in (prior, edit, pathology, region))
    height, line = PANEL * prior.shape[1] / prior.shape[0], 0.3
    size = (count * PANEL + 0.55 * (count - 3), height + 2 * line)
    figure = Figure(figsize=size, dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    # The fifth panel stands behind the colour bar of the fourth.
    places = [k * PANEL + (0.55 if k == 4 else 0) for k in range(count)]
    panels = [figure.add_axes((place / size[0], line / size[1], PANEL / size[0], height / size[1])) for place in places]
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    difference = np.ma.masked_where(upright((prior <= 0) & (edit <= 0)), upright(edit) - upright(prior))
    panels[0].imshow(upright(prior), **grey)
    panels[1].imshow(upright(prior), **grey)
    panels[2].imshow(upright(edit), **grey)
    signed = panels[3].imshow(difference, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
    for mask, colour, style in ((pathology, "#ff4040", "-"), (region, "#40c0ff", "--")):
        if mask.any() and not mask.all():
            panels[1].contour(upright(mask).astype(float), [0.5], colors=colour, linewidths=1.1, linestyles=style)
    names = ["prior scan", "lesion (red), region (blue)", "counterfactual (synthetic)", "edit − prior"]
    bars = [(signed, 4 * PANEL)]
    if displacement is not None:
        names.append("displacement, mm")
        most = max(1.0, float(displacement.max()))
        bars.append((panels[4].imshow(upright(displacement[shown]), "magma", vmin=0, vmax=most), places[4] + PANEL))
    for panel, name in zip(panels, names):
        panel.set_title(name, color="white", fontsize=9, pad=4)
        panel.set_axis_off()
    for image, place in bars:
        bar = figure.add_axes(((place + 0.05) / size[0], 1.5 * line / size[1], 0.1 / size[0], 1 - 3 * line / size[1]))
        figure.colorbar(image, cax=bar).ax.tick_params(colors="white", labelsize=7)
    figure.text(0.5, 0.08 / size[1], f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black")


def _shown_part(prior: np.ndarray) -> tuple[slice, slice]:
    """The rectangle around what is not background, with a small margin."""
    bright = np.argwhere(prior > 0.02)
    if not len(bright):
        return slice(None), slice(None)
    low, high = (bright.min(0) - 4).clip(0), bright.max(0) + 5
    return slice(low[0], high[0]), slice(low[1], high[1])


def upright(plane: np.ndarray) -> np.ndarray:
    """RAS slice (x to the right, y to the front) → image rows from the front, patient's left on the right."""
    return np.asarray(plane).T[::-1, ::-1]

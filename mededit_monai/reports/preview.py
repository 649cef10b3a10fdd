# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture beside every edit: prior, lesion outline, edit, signed difference, and how far tissue moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from mededit_monai.io.atomic import replacing
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.plain_text import PLAIN

#: Width of a panel in inches.
PANEL = 2.6


@dataclass(frozen=True)
class Plane:
    """
    What is shown of an edit in one plane.

    Args:
        prior, edit: in [0, 1], AxB, along the axes (x, y), (x, z) or (y, z) of RAS order.
        pathology, region: masks, AxB.
        displacement: how far tissue moved, mm, AxB.
        sides: of a pixel along both axes, in any unit.
    """

    prior: np.ndarray
    edit: np.ndarray
    pathology: np.ndarray
    region: np.ndarray
    displacement: np.ndarray | None = None
    sides: tuple[float, float] = (1.0, 1.0)

    def shown(self) -> Plane:
        """The rectangle around what is not background, with a small margin."""
        bright = np.argwhere(self.prior > 0.02)
        if not len(bright):
            return self
        low, high = (bright.min(0) - 4).clip(0), bright.max(0) + 5
        part = slice(low[0], high[0]), slice(low[1], high[1])
        masks = {name: getattr(self, name)[part] for name in ("prior", "edit", "pathology", "region")}
        return replace(self, **masks, displacement=None if self.displacement is None else self.displacement[part])

    @property
    def height(self) -> float:
        """Of its panels in inches."""
        return PANEL * self.prior.shape[1] * self.sides[1] / (self.prior.shape[0] * self.sides[0])


def lesion_planes(lesion: np.ndarray) -> tuple[int, int, int]:
    """Indices (x, y, z) of the sagittal, coronal and axial plane that hold most of a lesion, XxYxZ."""
    x, y, z = (int(lesion.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3))
    return x, y, z


def save_preview(planes: Sequence[Plane], path: str | Path, title: str = "") -> None:
    """
    Four panels a plane in radiological display, five with a displacement: nose (top of the head) up, the patient's left
    on the right, of sagittal planes the nose on the left.

    Args:
        planes: one a row, all with or all without a displacement.
        path: PNG to write, whole or not at all.
        title: small line below the panels.
    """
    planes = [plane.shown() for plane in planes]
    moves = planes[0].displacement is not None
    count, line = 5 if moves else 4, 0.3
    size = (count * PANEL + 0.55 * (count - 3), sum(plane.height for plane in planes) + (1 + len(planes)) * line)
    figure = Figure(figsize=size, dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    # All in one, in inches: axes and colour bars of their own take most of the time of an edit of a slice.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(0, size[1]))
    axes.set_axis_off()
    most = max([1.0, *(float(plane.displacement.max()) for plane in planes if plane.displacement is not None)])
    bottom = size[1] - line
    for row, plane in enumerate(planes):
        bottom -= plane.height
        _draw_row(axes, plane, bottom, most, named=row == 0)
        bottom -= line
    axes.text(size[0] / 2, 0.08, f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black")


def _is_background(prior: np.ndarray, edit: np.ndarray) -> np.ndarray:
    """Where nothing is and nothing changes; noise in the air around a head is air, and zeros within it are head."""
    seen = (prior > 0) | (edit > 0)
    body = ndimage.binary_opening(ndimage.binary_fill_holes(seen))
    head: np.ndarray = body | (seen & ndimage.binary_dilation(body)) | (prior != edit)
    return ~head


def _draw_row(axes: Axes, plane: Plane, bottom: float, most: float, named: bool) -> None:
    """The panels of a plane, whose lower edge is ``bottom`` inches high; ``most``: mm of the brightest displacement."""
    prior, edit = upright(plane.prior), upright(plane.edit)
    difference = np.ma.masked_where(_is_background(prior, edit), edit - prior)
    panels = [
        ("prior scan", prior, "gray", 0, 1),
        ("lesion (red), region (blue)", prior, "gray", 0, 1),
        ("counterfactual (synthetic)", edit, "gray", 0, 1),
        ("edit − prior", difference, "RdBu_r", -0.6, 0.6),
    ]
    if plane.displacement is not None:
        panels.append(("displacement, mm", upright(plane.displacement), "magma", 0, most))
    top = bottom + plane.height
    for k, (name, shown, colours, least, greatest) in enumerate(panels):
        place = k * PANEL + (0.55 if k == 4 else 0)  # the fifth panel stands behind the colour bar of the fourth
        scale = {"cmap": colours, "vmin": least, "vmax": greatest, "aspect": "auto"}
        axes.imshow(shown, extent=(place, place + PANEL, bottom, top), **scale)
        if named:
            axes.text(place + PANEL / 2, top + 4 / 72, name, color="white", fontsize=9, ha="center")
        if k >= 3:
            _draw_bar(axes, place + PANEL + 0.05, bottom, plane.height, scale)
    rows, columns = prior.shape
    x = PANEL + (np.arange(columns) + 0.5) * PANEL / columns
    y = top - (np.arange(rows) + 0.5) * plane.height / rows
    for mask, colour, style in ((plane.pathology, "#ff4040", "-"), (plane.region, "#40c0ff", "--")):
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            axes.contour(x, y, upright(mask).astype(float), [0.5], colors=colour, linewidths=1.1, linestyles=style)


def _draw_bar(axes: Axes, left: float, bottom: float, height: float, scale: dict) -> None:
    """The colours of a panel's ``scale`` beside it, with as many numbers as fit."""
    inset, size = min(0.15, height / 4), 7  # of a slab the rows are low
    low, length, least, span = bottom + inset, height - 2 * inset, scale["vmin"], scale["vmax"] - scale["vmin"]
    axes.imshow(np.linspace(scale["vmax"], least, 256)[:, None], extent=(left, left + 0.1, low, low + length), **scale)
    room = int(np.clip(length * 72 / (2 * size), 1, 9))
    values = MaxNLocator(room, steps=[1, 2, 5, 10]).tick_values(least, scale["vmax"])
    decimals = max(0, -math.floor(math.log10(values[1] - values[0]) + 1e-6))
    values = values[(values > least - 1e-6 * span) & (values < least + (1 + 1e-6) * span)]
    places = low + (values - least) / span * length
    axes.hlines(places, left + 0.1, left + 0.1 + 3.5 / 72, colors="white", linewidths=0.8)
    for value, place in zip(values, places):
        said = f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")  # + 0.0: no −0
        axes.text(left + 0.1 + 7 / 72, place, said, color="white", fontsize=size, va="center_baseline")


def upright(plane: np.ndarray) -> np.ndarray:
    """
    RAS plane as image rows: of an axial slice (x to the right, y to the front) from the front, of others from the top;
    the patient's left, or front, is at the end (start) of a row.
    """
    return np.asarray(plane).T[::-1, ::-1]

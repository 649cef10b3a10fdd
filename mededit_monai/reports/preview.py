# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture beside every edit: prior, lesion outline, edit, signed difference, and how far tissue moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
    most = max([1.0, *(float(plane.displacement.max()) for plane in planes if plane.displacement is not None)])
    bottom = size[1] - line
    for row, plane in enumerate(planes):
        bottom -= plane.height
        _draw_row(figure, plane, bottom, most, named=row == 0)
        bottom -= line
    figure.text(0.5, 0.08 / size[1], f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black")


def _draw_row(figure: Figure, plane: Plane, bottom: float, most: float, named: bool) -> None:
    """The panels of a plane, whose lower edge is ``bottom`` inches high; ``most``: mm of the brightest displacement."""
    width, height = figure.get_size_inches()
    count = 4 if plane.displacement is None else 5
    # The fifth panel stands behind the colour bar of the fourth.
    places = [k * PANEL + (0.55 if k == 4 else 0) for k in range(count)]
    panels = [
        figure.add_axes((place / width, bottom / height, PANEL / width, plane.height / height)) for place in places
    ]
    prior, edit, grey = upright(plane.prior), upright(plane.edit), {"cmap": "gray", "vmin": 0, "vmax": 1}
    difference = np.ma.masked_where((prior <= 0) & (edit <= 0), edit - prior)
    for panel, shown in zip(panels, (prior, prior, edit)):
        panel.imshow(shown, aspect="auto", **grey)
    signed = panels[3].imshow(difference, cmap="RdBu_r", vmin=-0.6, vmax=0.6, aspect="auto")
    for mask, colour, style in ((plane.pathology, "#ff4040", "-"), (plane.region, "#40c0ff", "--")):
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            panels[1].contour(upright(mask).astype(float), [0.5], colors=colour, linewidths=1.1, linestyles=style)
    names = ["prior scan", "lesion (red), region (blue)", "counterfactual (synthetic)", "edit − prior"]
    bars = [(signed, 4 * PANEL)]
    if plane.displacement is not None:
        names.append("displacement, mm")
        image = panels[4].imshow(upright(plane.displacement), "magma", vmin=0, vmax=most, aspect="auto")
        bars.append((image, places[4] + PANEL))
    for panel, place, name in zip(panels, places, names):
        panel.set_axis_off()
        if (
            named
        ):  # as text of the figure: a panel's own title has every tick of its axes worked out, to stay clear of them
            top = (bottom + plane.height + 4 / 72) / height
            figure.text((place + PANEL / 2) / width, top, name, color="white", fontsize=9, ha="center", va="baseline")
    for image, place in bars:
        inset = min(0.15, plane.height / 4)  # of a slab the rows are low
        bar = figure.add_axes(
            ((place + 0.05) / width, (bottom + inset) / height, 0.1 / width, (plane.height - 2 * inset) / height)
        )
        figure.colorbar(image, cax=bar).ax.tick_params(colors="white", labelsize=7)


def upright(plane: np.ndarray) -> np.ndarray:
    """
    RAS plane as image rows: of an axial slice (x to the right, y to the front) from the front, of others from the top;
    the patient's left, or front, is at the end (start) of a row.
    """
    return np.asarray(plane).T[::-1, ::-1]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A mask on its scan, to look at before it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.io.atomic import replacing
from mededit_monai.io.nifti import Volume
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import PANEL, Plane, lesion_planes, upright

NAMES = ("axial", "coronal", "sagittal")


def save_lesion_preview(scan: Volume, brain: np.ndarray, mask: np.ndarray, path: str | Path, title: str = "") -> None:
    """
    The three planes with most of the lesion, its outline in red; radiological display as in every preview.

    Args:
        brain, mask: bool, XxYxZ RAS.
        path: PNG to write, whole or not at all.
        title: small line below.
    """
    top = max(float(np.percentile(scan.data[brain], 99)), 1e-6)
    places, planes = lesion_planes(mask), []
    for axis in (2, 1, 0):
        at = tuple(places[axis] if k == axis else slice(None) for k in range(3))
        sides = [side for k, side in enumerate(scan.spacing) if k != axis]
        image = np.clip(scan.data[at] / top, 0, 1)
        planes.append(Plane(image, image, mask[at], mask[at], sides=(sides[0], sides[1])).shown())
    line = 0.3
    size = len(planes) * PANEL, max(plane.height for plane in planes) + 2 * line
    figure = Figure(figsize=size, dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    for column, (plane, name) in enumerate(zip(planes, NAMES)):
        place = (column / len(planes), line / size[1], 1 / len(planes), plane.height / size[1])
        panel = figure.add_axes(place)
        panel.imshow(upright(plane.prior), cmap="gray", vmin=0, vmax=1, aspect="auto")
        if plane.pathology.any() and not plane.pathology.all() and min(plane.pathology.shape) > 1:
            panel.contour(upright(plane.pathology).astype(float), [0.5], colors="#ff4040", linewidths=1.1)
        panel.set_title(name, color="white", fontsize=9, pad=4)
        panel.set_axis_off()
    figure.text(0.5, 0.08 / size[1], f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black", metadata={"Software": None})

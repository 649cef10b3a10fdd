# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture by which people check a preparation: brain mask on the scan, and the template's outline on the brain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.io.atomic import replacing
from mededit_monai.prepare.register import brain_image, template_brain
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import upright

if TYPE_CHECKING:
    from mededit_monai.prepare.preparation import Preparation

#: Grey levels of the template whose outlines are drawn: its edge, and that of fluid.
LEVELS = (0.1, 0.5)


def save_check(found: Preparation, path: str | Path) -> None:
    """
    Two rows of three planes, radiological display: the scan as it is stored with its brain mask, and the evened brain
    in the template's space with the template's outlines.

    Args:
        path: PNG to write, whole or not at all.
    """
    figure = Figure(figsize=(9, 6.6), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    scan, brain = found.scan, found.brain
    middle = [int(np.median(places)) for places in np.nonzero(brain)]
    top = float(np.percentile(scan.data[brain], 99.5))
    template = template_brain()
    there = brain_image(found.even.data, brain, scan.affine).on(template, found.registration.template_to_scan)
    for column, axis in enumerate((2, 1, 0)):
        sides = [side for k, side in enumerate(scan.spacing) if k != axis]
        image, mask = scan.data.take(middle[axis], axis), brain.take(middle[axis], axis)
        _draw(panels[0, column], image / max(top, 1e-6), mask, (0.5,), "#ff4040", sides[1] / sides[0])
        at = template.data.shape[axis] // 2
        _draw(panels[1, column], there.take(at, axis), template.data.take(at, axis), LEVELS, "#40c0ff", 1.0)
    panels[0, 0].set_title("scan, brain mask (red)", color="white", fontsize=9, loc="left")
    panels[1, 0].set_title("evened brain, ICBM 152 outlines (blue)", color="white", fontsize=9, loc="left")
    facts = found.registration
    note = (
        f"{scan.path.name}   tilt {facts.tilt_degrees:.0f}°   correlation {facts.similarity:.2f}   overlap "
        f"{facts.overlap:.2f}   research use only, not a medical device"
    )
    figure.text(0.5, 0.015, note, color="#b0b0b0", fontsize=8, ha="center", **PLAIN)
    figure.subplots_adjust(0.01, 0.04, 0.99, 0.95, 0.02, 0.08)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black")


def _draw(
    panel, image: np.ndarray, outlined: np.ndarray, levels: tuple[float, ...], colour: str, aspect: float
) -> None:
    panel.imshow(upright(image), cmap="gray", vmin=0, vmax=1, aspect=aspect)
    shown = upright(outlined).astype(float)
    if shown.any() and min(shown.shape) > 1:
        panel.contour(shown, [level for level in levels if level < shown.max()], colors=colour, linewidths=0.8)
    panel.set_axis_off()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: one row a case, one column a kind of picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.io.atomic import replacing
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import upright


def save_sheet(stacks: Mapping[str, np.ndarray], path: str | Path, title: str = "", cases_across: int = 4) -> None:
    """
    Write a PNG of several stacks side by side, ``cases_across`` cases in a line.

    Args:
        stacks: name → NxXxY in [0, 1], RAS order, all with the same N.
        path: PNG to write, whole or not at all.
    """
    count = len(next(iter(stacks.values())))
    across = min(cases_across, count)
    lines = -(-count // across)
    figure = Figure(figsize=(1.35 * across * len(stacks), 1.45 * lines + 0.5), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    panels = np.atleast_2d(figure.subplots(lines, across * len(stacks), squeeze=False))
    for panel in panels.ravel():
        panel.set_axis_off()
    for case in range(count):
        for number, (name, stack) in enumerate(stacks.items()):
            panel = panels[case // across, (case % across) * len(stacks) + number]
            panel.imshow(upright(stack[case]), cmap="gray", vmin=0, vmax=1)
            if case < across:
                panel.set_title(name, color="white", fontsize=8, **PLAIN)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.05, wspace=0.02, hspace=0.04)
    figure.text(0.5, 0.01, f"{title}   {DISCLAIMER}", color="#b0b0b0", fontsize=8, ha="center", **PLAIN)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black")

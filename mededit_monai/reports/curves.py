# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Learning curves from the table that a training writes.

    python -m mededit_monai.reports.curves out/training/history.csv curves.png
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save_curves(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """
    Three panels against the epoch: training and validation loss, validation loss by noise level, quick edit scores.

    Args:
        rows: of ``history.csv``, one an epoch; a panel without data is left out.
        path: PNG to write.
    """
    names = list(dict.fromkeys(key for row in rows for key in row))
    groups = {
        "loss": [n for n in ("train_loss", "val_loss") if n in names],
        "validation loss by noise level": [n for n in names if n.startswith("val_loss_t")],
        "quick edit score": [n for n in names if n.startswith("edit_")],
    }
    groups = {title: members for title, members in groups.items() if members}
    figure = Figure(figsize=(4.6 * len(groups), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (title, members) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items()):
        for name in members:
            points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
            panel.plot(*zip(*points), marker="." if len(points) < 60 else None, linewidth=1.3, label=_label(name))
        if "loss" in title:
            panel.set_yscale("log")
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    unfinished = Path(f"{path}.tmp")
    figure.savefig(unfinished, format="png")
    os.replace(unfinished, path)


def _label(name: str) -> str:
    return f"from t = {name.removeprefix('val_loss_t')}" if name.startswith("val_loss_t") else name.replace("_", " ")


def main() -> None:
    """Command line of the module."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m mededit_monai.reports.curves HISTORY.csv OUTPUT.png")
    with open(sys.argv[1], newline="") as stream:
        save_curves(list(csv.DictReader(stream)), sys.argv[2])


if __name__ == "__main__":
    main()

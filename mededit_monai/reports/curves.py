# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Learning curves from the table that a training writes.

    python -m mededit_monai.reports.curves out/training/history.csv curves.png
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import write_bytes
from mededit_monai.io.outputs import write_output
from mededit_monai.reports.plain_text import PLAIN, plain_legend


def save_curves(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """
    Panels against the epoch: training and validation loss, validation loss by noise level, what of the displacement
    is not explained, quick edit scores.

    Args:
        rows: of ``history.csv``, one an epoch; a panel without data is left out.
        path: PNG to write, whole or not at all.
    """
    write_bytes(path, draw_curves(rows))


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """What :func:`save_curves` writes."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    groups = {
        "loss": [n for n in ("train_loss", "val_loss") if n in names],
        "validation loss by noise level": [n for n in names if n.startswith("val_loss_t")],
        "share of the displacement's variance left": [n for n in names if n == "val_variance_left"],
        "quick edit score": [n for n in names if n.startswith("edit_")],
    }
    groups = {title: members for title, members in groups.items() if members}
    figure = Figure(figsize=(4.6 * len(groups), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (title, members) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items()):
        lines = []
        for name in members:
            points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
            lines += panel.plot(*zip(*points), marker="." if len(points) < 60 else None, linewidth=1.3)
        if "loss" in title:
            panel.set_yscale("log")
        panel.set_title(title, fontsize=10, **PLAIN)
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        plain_legend(panel, lines, [_label(name) for name in members], fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _label(name: str) -> str:
    return f"from t = {name.removeprefix('val_loss_t')}" if name.startswith("val_loss_t") else name.replace("_", " ")


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """
    Rows of a training's ``history.csv``.

    Raises:
        InputError: no such file, or another kind of file.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"{path}: not found; give the history.csv of a training.")
    try:
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
        for row in rows:
            int(row["epoch"])
            [float(value) for value in row.values() if value]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read as the table of a training; give a whole history.csv, or move this one away."
        ) from error
    if not rows:
        raise InputError(f"{path}: holds no epoch; wait for the first one, or move the file away.")
    return rows


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history", help="history.csv of a training")
    parser.add_argument("output", help="PNG to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that this program wrote")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        picture = draw_curves(read_history(given.history))
        write_output(user_path(given.output), picture, given.overwrite, [user_path(given.history)])
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

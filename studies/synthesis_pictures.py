# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Synthesized heads beside the real ones of their masks, in three planes: the nearest, the middle and the farthest of all.

    mededit synthesize --datalist out/heads/datalist.json --split testing -o out/synthesis
    python -m studies.synthesis_pictures --cohort out/heads --synthesis out/synthesis -o out/synthesis.png

Of several modalities one head is shown, the middle one, each modality in its columns. Nearness is by mean squared error
of the first modality. Prints which heads they are.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases.modalities import LABEL_KEY, MODALITIES
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import require_writable, write_output
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.metrics.synthesis import mean_squared_error
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import lesion_planes, upright
from mededit_monai.synthesis.labels import tumor_of

#: Colours of outside, core, edema, rim and brain.
COLOURS = np.array([[0, 0, 0], [230, 60, 60], [90, 170, 90], [250, 200, 60], [90, 90, 90]], np.uint8)

#: Side of a panel, inches.
PANEL = 1.25


def ranked(cohort: Path, synthesis: Path) -> list[tuple[float, Mapping[str, Any], list[str]]]:
    """
    Error, case and modalities of every synthesized head of a cohort, the nearest first.

    Raises:
        InputError: no synthesized head of the cohort.
    """
    found = []
    for case in read_datalist(cohort / "datalist.json"):
        shown = [name for name in MODALITIES if (synthesis / case["case_id"] / f"{name}.nii.gz").is_file()]
        if shown:
            made, real = (read_array(place) for place in pair_of(case, synthesis, shown[0]))
            found.append((mean_squared_error(made, real), case, shown))
    if not found:
        raise InputError(f"--synthesis: {synthesis} holds no head of {cohort}; give what 'mededit synthesize' wrote.")
    return sorted(found, key=lambda one: one[0])


def pair_of(case: Mapping[str, Any], synthesis: Path, name: str) -> tuple[Path, Path]:
    """Files of a modality, synthetic and real."""
    return synthesis / case["case_id"] / f"{name}.nii.gz", Path(case[name])


def panels(case: Mapping[str, Any], synthesis: Path, name: str) -> list[list[np.ndarray]]:
    """Mask (RGB), real and synthetic head (in [0, 1]), each in three planes through the tumour."""
    labels = read_array(case[LABEL_KEY]).astype(np.uint8)
    tumor = tumor_of(labels)
    place = lesion_planes(tumor if tumor.any() else labels > 0)
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(labels))
    at = [_at(place, box, axis) for axis in (2, 1, 0)]
    made, real = (read_array(file) for file in pair_of(case, synthesis, name))
    mask = [COLOURS[upright(labels[plane])] for plane in at]
    return [mask, *([upright(volume[plane]) for plane in at] for volume in (real, made))]


def _at(place: tuple[int, int, int], box: tuple[slice, ...], axis: int) -> tuple[Any, ...]:
    """The plane across an axis, of the brain's box alone."""
    return tuple(place[axis] if k == axis else box[k] for k in range(3))


def picture(columns: Mapping[str, list[list[np.ndarray]]]) -> bytes:
    """
    PNG: rows mask, real and synthetic; three columns under each title.

    Args:
        columns: of :func:`panels`, by their title.
    """
    figure = Figure(figsize=(3 * len(columns) * PANEL + 0.6, 3 * PANEL + 0.6), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3 * len(columns), squeeze=False)
    for number, (title, rows) in enumerate(columns.items()):
        for row, planes in enumerate(rows):
            for plane, pixels in enumerate(planes):
                panel = axes[row, 3 * number + plane]
                panel.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")  # of RGB as it is
                panel.set(xticks=[], yticks=[])
        axes[0, 3 * number + 1].set_title(title, color="white", fontsize=9)
    for row, word in enumerate(("mask", "real", "synthetic")):
        axes[row, 0].set_ylabel(word, color="white", fontsize=9)
    note = f"Mask: core red, edema green, rim yellow. Real: simulated. {DISCLAIMER}"
    figure.text(0.5, 0.01, note, color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    figure.tight_layout(rect=(0, 0.04, 1, 1), pad=0.4)
    stream = io.BytesIO()
    figure.savefig(stream, facecolor="black", format="png")
    return stream.getvalue()


def draw(cohort: Path, synthesis: Path, path: Path, overwrite: bool = False) -> str:
    """
    Write the picture; which heads it shows.

    Args:
        overwrite: whether another picture of ours may be replaced.

    Raises:
        InputError: no synthesized head of the cohort, or a file in the way.
    """
    require_writable(path, overwrite)
    order = ranked(cohort, synthesis)
    middle, modalities = order[len(order) // 2], order[0][2]
    if len(modalities) > 1:
        columns = {name: panels(middle[1], synthesis, name) for name in modalities}
        chosen = {"middle": middle}
    else:
        chosen = {"nearest": order[0], "middle": middle, "farthest": order[-1]}
        columns = {f"{word} of {len(order)}": panels(one[1], synthesis, one[2][0]) for word, one in chosen.items()}
    write_output(path, picture(columns), overwrite, [cohort, synthesis])
    return json.dumps({word: {"case": one[1]["case_id"], "mse": one[0]} for word, one in chosen.items()}, indent=2)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate")
    parser.add_argument("--synthesis", required=True, help="what mededit synthesize wrote of its datalist")
    parser.add_argument("--output", "-o", default="out/synthesis.png")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that this program wrote")
    asked = parser.parse_args(words)
    with exit_on_bad_input():
        folders = user_path(asked.cohort), user_path(asked.synthesis)
        print(draw(*folders, user_path(asked.output), asked.overwrite))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

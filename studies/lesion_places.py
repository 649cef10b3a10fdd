# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Where strokes are: from a folder of masks in MNI space to the table that ``mededit lesion`` chooses places by.

    python -m studies.lesion_places --lesions DIR -o out/places [--table places.json]

Writes the table, a map a territory of how many lesions cover each 2 mm voxel, a picture of the rule and of these maps,
and a page of numbers. The table that is shipped, mededit_monai/lesions/places.json, is a copy of the first.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import STRATA
from mededit_monai.io.atomic import replacing
from mededit_monai.io.nifti import image_bytes
from mededit_monai.io.outputs import OutputFolder, require_writable, write_output
from mededit_monai.lesions.places import Places, places_of
from mededit_monai.lesions.territories import SIDES, TERRITORIES, territory_of
from mededit_monai.reports.preview import upright

ABOUT = (
    "acute ischemic strokes of the SOOP data set (OpenNeuro ds004889, CC0; masks in MNI space, BSD 2-Clause), by "
    "python -m studies.lesion_places"
)

#: The maps' grid: 2 mm along the MNI axes from here on.
FIRST, STEP, SHAPE = np.array([-84.0, -120.0, -82.0]), 2.0, (85, 104, 90)
HEIGHTS = (-30, -14, 2, 18, 34, 50)


class Maps:
    """How many lesions of each territory cover a voxel, territory → float32 XxYxZ."""

    def __init__(self) -> None:
        self.counts = {name: np.zeros(SHAPE, np.float32) for name in TERRITORIES}

    def add(self, points: np.ndarray, volume: float, territory: str) -> None:
        """Add a lesion's points (MNI mm, Nx3), of so many mm³ each."""
        places = np.floor((points - FIRST) / STEP + 0.5).astype(int)
        places = places[((places >= 0) & (places < SHAPE)).all(axis=1)]
        share = np.bincount(np.ravel_multi_index(tuple(places.T), SHAPE), minlength=int(np.prod(SHAPE)))
        self.counts[territory] += np.minimum(share * volume / STEP**3, 1).reshape(SHAPE).astype(np.float32)


def numbers_page(places: Places) -> str:
    """Counts and clouds as Markdown."""
    lines = ["# Where strokes are", "", f"From {places.about}.", ""]
    lines += [
        f"| territory | stratum | {' | '.join(SIDES)} | centres on the right, MNI mm (share) |",
        "|---|---|---|---|---|",
    ]
    for territory in TERRITORIES:
        for stratum in STRATA:
            counts = [str(places.counts.get((territory, side, stratum), 0)) for side in SIDES]
            clouds = places.clouds[territory, stratum]
            text = ", ".join(f"({' '.join(f'{x:.0f}' for x in c.mean)}) {c.weight:.0%}" for c in clouds)
            lines.append(f"| {territory} | {stratum} | {' | '.join(counts)} | {text or 'too few'} |")
    return "\n".join(lines) + "\n"


def picture(maps: Maps) -> Figure:
    """The rule, and each territory's lesions, in axial planes seen from below: the patient's left is on the right."""
    grid = np.stack(np.meshgrid(*(FIRST[k] + STEP * np.arange(n) for k, n in enumerate(SHAPE)), indexing="ij"), -1)
    ruled, every = territory_of(grid), sum(maps.counts.values())
    figure = Figure(figsize=(2 * len(HEIGHTS), 2.5 * (1 + len(TERRITORIES))))
    FigureCanvasAgg(figure)
    panels = figure.subplots(1 + len(TERRITORIES), len(HEIGHTS))
    for column, height in enumerate(HEIGHTS):
        index = int((height - FIRST[2]) / STEP)
        shown = np.ma.masked_where(every[:, :, index] < 1, ruled[:, :, index])
        panels[0, column].imshow(upright(shown.filled(255)) * 1.0, cmap="tab10", vmin=0, vmax=9)
        panels[0, column].set_title(f"z = {height} mm", fontsize=8)
        for row, name in enumerate(TERRITORIES, start=1):
            panels[row, column].imshow(upright(maps.counts[name][:, :, index]), "magma", vmin=0)
            panels[row, column].set_title(name if column == 0 else "", fontsize=8)
    for panel in panels.flat:
        panel.set_axis_off()
    figure.tight_layout()
    return figure


def lesion_places(lesions: str, output: str, table: str | None = None, overwrite: bool = False) -> str:
    """
    Write everything; the page of numbers.

    Args:
        lesions: folder of masks in MNI space; output: folder; table: file for a copy of the table, None: none.
        overwrite: whether another table of ours may be replaced.

    Raises:
        InputError: masks that cannot be used, or a file in the way that is not ours.
    """
    maps, folder = Maps(), OutputFolder(user_path(output), [user_path(lesions)])
    folder.require_free(["places.json", "places.md", "places.png", *(f"lesions_{name}.nii" for name in TERRITORIES)])
    copy = None if table is None else user_path(table)
    if copy is not None:
        require_writable(copy, overwrite)
    places = places_of(lesions, watch=maps.add)
    places = Places(f"{sum(places.counts.values())} {ABOUT}", places.counts, places.clouds)
    content = (json.dumps(places.as_json(), indent=1) + "\n").encode()
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = FIRST
    contents = {"places.json": content, "places.md": numbers_page(places).encode()}
    contents |= {
        f"lesions_{n}.nii": image_bytes(m, affine, "lesions that cover a voxel; mededit_monai")
        for n, m in maps.counts.items()
    }
    folder.write(contents)
    folder.reserve(["places.png"])
    with replacing(folder.path / "places.png") as unfinished:
        picture(maps).savefig(unfinished, dpi=90)
    if copy is not None:
        write_output(copy, content, overwrite, folder.inputs)
    return contents["places.md"].decode()


def main() -> None:
    """Command line of the study; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", required=True, help="folder of masks in MNI space")
    parser.add_argument("-o", "--output_dir", default="out/places")
    parser.add_argument("--table", help="also write the table here")
    parser.add_argument("--overwrite", action="store_true", help="replace a --table that this program wrote")
    given = parser.parse_args()
    with exit_on_bad_input():
        print(lesion_places(given.lesions, given.output_dir, given.table, given.overwrite))


if __name__ == "__main__":
    run_program(main)

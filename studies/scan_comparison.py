# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The same lesion in the same real scans by several methods, side by side, with figures of what was kept.

    python -m studies.scan_comparison --scans DIR --methods morph mededit sdedit -o out/comparison

Scans as for ``scan_sheet``; the slice with most lesion is edited. A real scan has no true counterfactual: the sheet is
for the eye, and the table says what stayed as it was. Writes ``gallery.png``, ``sheet.png`` (with differences),
``comparison.md``, ``.json`` and the edits.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import exit_on_bad_input, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import replacing, write_json, write_text
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import read_volume
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.methods.record import METHODS
from mededit_monai.metrics.preservation import (
    edge_gradient,
    psnr_outside,
    ssim_outside,
    surrounding_ring,
    texture_ratio,
)
from mededit_monai.reports.plain_text import PLAIN, markdown_table
from mededit_monai.reports.preview import upright
from mededit_monai.simulation.anatomies import list_anatomies, stem
from studies.scan_sheet import edit_scans

#: How scans and edits are drawn: smoothly, since their pixels are larger or smaller than the picture's.
GRAY = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "bilinear"}

#: Files that are written beside the methods' folders.
FILES = ("sheet.png", "gallery.png", "comparison.json", "comparison.md")

#: Figures of a scan's edit: heading of the table, and what 1 or 0 would mean.
FIGURES = {
    "psnr_outside_lesion": "PSNR outside p, dB",
    "ssim_outside_lesion": "SSIM outside p",
    "changed_share": "share of the brain's pixels that changed",
    "seam": "gradient across the region's edge, of the scan's",
    "texture": "texture of M∖p, of the scan's",
    "nfe": "NFE",
    "seconds": "seconds",
}


def compare_on_scans(
    scans: str | Path, output: str | Path, bundle: str, methods: Sequence[str], radius: float = 16.0, **options: Any
) -> dict[str, list[dict[str, Any]]]:
    """
    Edit every scan of a folder with every method.

    Args:
        output: gets a folder a method, ``sheet.png``, ``gallery.png``, ``comparison.md`` and ``comparison.json``.
        methods: of ``mededit edit``; radius: of the lesion, mm; options: of the bundle's ``inference.yaml``.

    Returns:
        method → a dictionary of figures for each scan.

    Raises:
        InputError: no scans, or one that cannot be edited.
    """
    for method in methods:
        require_choice("methods", method, tuple(METHODS))
    scans, output = user_path(scans), user_path(output)
    OutputFolder(output).require_free(FILES)
    found: dict[str, list[dict[str, Any]]] = {}
    shown: dict[str, dict[str, np.ndarray]] = {}
    edits: dict[str, dict[str, np.ndarray]] = {}
    for method in methods:
        folders = edit_scans(scans, output / method, bundle, radius, method=method, slice_index="auto", **options)
        found[method] = []
        for folder, scan in zip(folders, list_anatomies(scans)):
            planes, spacing = edited_plane(
                Path(scan), folder, output / method / "lesions" / f"{stem(Path(scan))}.nii.gz"
            )
            cost = json.loads((folder / "provenance.json").read_bytes())
            figures = kept(**planes, spacing=spacing) | {key: cost[key] for key in ("nfe", "seconds")}
            found[method].append({"scan": stem(Path(scan)), **figures})
            shown.setdefault(stem(Path(scan)), planes)
            edits.setdefault(stem(Path(scan)), {})[method] = planes["edit"]
    content = {"synthetic": True, "note": DISCLAIMER, "bundle": bundle, "methods": found}
    with held_folder(output, FILES):
        save_sheet(shown, edits, output / "sheet.png")
        save_sheet(shown, edits, output / "gallery.png", differences=False)
        write_json(output / "comparison.json", content)
        write_text(output / "comparison.md", markdown(found, bundle))
    return found


def edited_plane(scan: Path, folder: Path, lesion: Path) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """
    The axial slice with most lesion, on the scan's own grid: ``prior``, ``edit`` (in units of the scan's 99.5th
    percentile, 0 to 1), ``pathology`` and ``region``; and the spacing in the plane, mm.
    """
    volumes = [read_volume(p) for p in (scan, folder / "edited.nii.gz", lesion, folder / "edit_region.nii.gz")]
    prior, edit, pathology, region = (volume.data for volume in volumes)
    z = int((pathology > 0).sum(axis=(0, 1)).argmax())
    ceiling = float(np.percentile(prior[prior > 0], 99.5))
    planes = {
        "prior": np.clip(prior[:, :, z] / ceiling, 0, 1),
        "edit": np.clip(edit[:, :, z] / ceiling, 0, 1),
        "pathology": pathology[:, :, z] > 0,
        "region": region[:, :, z] > 0,
    }
    return planes, volumes[0].spacing[:2]


def kept(
    prior: np.ndarray,
    edit: np.ndarray,
    pathology: np.ndarray,
    region: np.ndarray,
    spacing: tuple[float, float],
    **_: Any,
) -> dict[str, float]:
    """What an edit left of a scan, see :data:`FIGURES`; slices XxY in [0, 1], masks, mm."""
    brain = prior > 0
    zone, ring = region & brain & ~pathology, surrounding_ring(region, brain, spacing)
    textures = [texture_ratio(image, zone, ring, brain, spacing) for image in (edit, prior)]
    seams = [edge_gradient(image, region, brain) for image in (edit, prior)]
    return {
        "psnr_outside_lesion": psnr_outside(edit, prior, pathology, brain),
        "ssim_outside_lesion": ssim_outside(edit, prior, pathology, brain),
        "changed_share": float((np.abs(edit - prior) > 1e-6)[brain].mean()),
        "seam": seams[0] / seams[1] if seams[1] else float("nan"),
        "texture": textures[0] / textures[1] if textures[1] else float("nan"),
    }


def markdown(found: Mapping[str, Sequence[Mapping[str, Any]]], bundle: str) -> str:
    """Means over the scans, a row a method."""
    count = len(next(iter(found.values())))
    text = [f"# Real scans: {bundle}", "", f"{DISCLAIMER} {count} scans, one drawn lesion in each; means.", ""]
    means = {method: pd.DataFrame(rows)[list(FIGURES)].mean() for method, rows in found.items()}  # of what is known
    text += markdown_table(
        ["method", *FIGURES.values()], [[m, *(f"{v:.3g}" for v in mean)] for m, mean in means.items()]
    )
    return "\n".join(text) + "\n"


def save_sheet(
    shown: Mapping[str, Mapping[str, np.ndarray]],
    edits: Mapping[str, Mapping[str, np.ndarray]],
    path: Path,
    differences: bool = True,
) -> None:
    """
    A scan a row: the scan with the lesion's outline, then each method's edit, above its signed difference if wanted.

    Args:
        shown: scan → planes of :func:`edited_plane`; edits: scan → method → XxY in [0, 1].
    """
    methods, lines = list(next(iter(edits.values()))), 2 if differences else 1
    height, heading = 2.35, 0.22  # inches of a picture and of the words above it
    size = 2.0 * (1 + len(methods)), lines * len(shown) * (height + heading)
    figure = Figure(figsize=size, facecolor="black", dpi=90)
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines * len(shown), 1 + len(methods), squeeze=False)
    top = 1 - heading / size[1]
    figure.subplots_adjust(0, 0, 1, top, wspace=0.02, hspace=heading / height)
    for axes in grid.flat:
        axes.set_axis_off()
    for k, (scan, planes) in enumerate(shown.items()):
        row = grid[lines * k]
        where = np.argwhere(planes["prior"] > 0.02)
        low, high = where.min(axis=0), where.max(axis=0) + 1
        cut = slice(low[0], high[0]), slice(low[1], high[1])
        prior = upright(planes["prior"][cut])
        row[0].imshow(prior, **GRAY)
        row[0].contour(upright(planes["pathology"][cut]).astype(float), [0.5], colors="#ff4040", linewidths=0.9)
        row[0].set_title(scan, color="white", fontsize=8, pad=3, **PLAIN)
        for column, method in enumerate(methods, start=1):
            edit = upright(edits[scan][method][cut])
            row[column].imshow(edit, **GRAY)
            row[column].set_title(f"{method} (synthetic)", color="white", fontsize=8, pad=3, **PLAIN)
            if differences:
                change = np.ma.masked_where((prior <= 0.02) & (np.abs(edit - prior) < 0.02), edit - prior)
                grid[lines * k + 1][column].imshow(change, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black", metadata={"Description": DISCLAIMER})


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="folder of T1 scans")
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--condition", default="mask")
    parser.add_argument("--methods", nargs="+", default=["morph", "mededit", "naive_repaint", "sdedit"])
    parser.add_argument("--radius", type=float, default=16.0, help="of the lesion, mm")
    parser.add_argument("--output_dir", "-o", default="out/scan_comparison")
    given = parser.parse_args()
    options = {"condition": given.condition}
    with exit_on_bad_input():
        compare_on_scans(given.scans, given.output_dir, given.bundle, given.methods, given.radius, **options)
    print((user_path(given.output_dir) / "comparison.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

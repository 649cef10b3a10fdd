# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The picture at the top of README: an axial slice of a real scan before and after an edit, in the scan's own voxels.

    python -m studies.readme_picture --scan T1.nii.gz --pathology lesion.nii.gz --brain brain.nii.gz \
        --output docs/images/readme_edit.png

The default editor edits the volume; the slice with the largest lesion area is shown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai import edit
from mededit_monai.io.atomic import replacing

#: Below the panels.
NOTE = "The right image is synthetic. Research use only, not a medical device."

#: Heights of the words above and below the panels, and the gap between panels, in pixels.
HEADING, FOOT, GAP = 30, 26, 8

#: Pixels of the picture in an inch.
DPI = 100


def oriented(path: str | Path) -> nib.spatialimages.SpatialImage:
    """An image with its axes permuted and mirrored to RAS; nothing is resampled."""
    return nib.as_closest_canonical(nib.load(path))


def edited_planes(
    scan: str | Path, pathology: str | Path, brain: str | Path | None, bundle: str
) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """
    Edit a scan and take the axial slice with the largest lesion area.

    Returns:
        ``before``, ``after`` (XxY, intensity 1 is the scan's 99.5th percentile) and ``lesion`` (bool), cut to the head;
        and the in-plane voxel size in mm.
    """
    with tempfile.TemporaryDirectory(prefix="mededit_") as folder:
        case = edit(scan, pathology, folder, bundle, brain=brain, progress=False)[0]
        images = [oriented(path) for path in (scan, case / "edited.nii.gz", pathology)]
        before, after, lesion = (np.asarray(image.dataobj, dtype=float) for image in images)
    z = int((lesion > 0).sum(axis=(0, 1)).argmax())
    ceiling = float(np.percentile(before[before > 0], 99.5))
    planes = {"before": before[:, :, z] / ceiling, "after": after[:, :, z] / ceiling, "lesion": lesion[:, :, z] > 0}
    bright = np.argwhere(planes["before"] > 0.08)
    low, high = (bright.min(axis=0) - 2).clip(0), bright.max(axis=0) + 3
    spacing = images[0].header.get_zooms()[:2]
    return {key: plane[low[0] : high[0], low[1] : high[1]] for key, plane in planes.items()}, spacing


def save_picture(planes: dict[str, np.ndarray], spacing: tuple[float, float], path: Path, scale: int) -> None:
    """
    Three panels, nose up and the patient's left on the right; every voxel is a block of pixels.

    Args:
        planes, spacing: of :func:`edited_planes`; path: PNG; scale: width of a voxel in pixels.
    """
    columns, rows = planes["before"].shape
    width, height = columns * scale, round(rows * scale * spacing[1] / spacing[0])
    total = 3 * width + 2 * GAP, HEADING + height + FOOT
    figure = Figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    panels = (("the scan", "before"), ("the lesion asked for", "before"), ("the edit (synthetic)", "after"))
    for k, (words, key) in enumerate(panels):
        place = k * (width + GAP) / total[0], FOOT / total[1], width / total[0], height / total[1]
        axes = figure.add_axes(place)
        axes.set_axis_off()
        upright = planes[key].T[::-1, ::-1]
        axes.imshow(upright, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        if k == 1:
            lesion = planes["lesion"].T[::-1, ::-1].astype(float)
            axes.contour(lesion, [0.5], colors="#ff4040", linewidths=1.6)
        axes.set_title(words, color="white", fontsize=12, pad=6)
    figure.text(0.5, 8 / total[1], NOTE, color="#b0b0b0", fontsize=9, ha="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        figure.savefig(
            unfinished, format="png", facecolor="black", dpi=DPI, metadata={"Description": NOTE, "Software": None}
        )


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", required=True, help="T1-weighted scan without the lesion")
    parser.add_argument("--pathology", required=True, help="lesion mask on the scan's grid")
    parser.add_argument("--brain", help="brain mask; not needed if the scan is skull-stripped")
    parser.add_argument("--bundle", default="stroke", help="stroke, tumor or a bundle's folder")
    parser.add_argument("--scale", type=int, default=2, help="width of a voxel in pixels")
    parser.add_argument("--output", "-o", default="docs/images/readme_edit.png", help="PNG to write")
    given = parser.parse_args()
    try:
        planes, spacing = edited_planes(given.scan, given.pathology, given.brain, given.bundle)
    except ValueError as error:  # InputError: one sentence that says what is wrong
        parser.error(str(error))
    save_picture(planes, spacing, Path(given.output), given.scale)
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

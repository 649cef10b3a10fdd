# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Is tissue that an edit moved as sharp as it was? Edits of real scans, at the scans' own resolution.

    python -m studies.moved_texture --scans DIR --bundle stroke -o out/moved_texture

Edits every scan as ``studies.scan_sheet`` does, by a method that displaces the scan, and compares the fine structure of
moved, unpainted tissue with that of the scan at the places it came from
(:func:`mededit_monai.metrics.moved_texture.moved_texture`): 1 is the same, below 1 is smoother. Writes
``moved_texture.json`` and ``moved_texture.md`` beside the edits, and prints the latter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.displacement import read_displacement
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.methods.paint import RIM
from mededit_monai.metrics.displacement import MOVED_MM, length
from mededit_monai.metrics.moved_texture import moved_texture
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.simulation.anatomies import list_anatomies, stem
from studies.scan_sheet import edit_scans

#: What is written beside the edits.
FILES = ("moved_texture.json", "moved_texture.md")

#: The texture that is wanted.
WANTED = (0.95, 1.05)


def texture_of_edit(
    scan: str | Path, lesion: str | Path, folder: str | Path, pixel_mm: float, brain: str | Path | None = None
) -> dict[str, float | None]:
    """
    Texture of what an edit moved, on the scan's own grid.

    Args:
        scan, lesion: what was edited; brain: its mask, None: where the scan is not 0.
        folder: of the edit, with ``edited.nii.gz`` and ``displacement.nii.gz``.
        pixel_mm: side of a model pixel: paint ends two of them from the lesion, and one is left for its restoration.

    Returns:
        ``texture`` (None where nothing moved), ``moved_ml``, and ``largest_mm``, the largest displacement.

    Raises:
        InputError: a file that is missing or cannot be read.
    """
    folder = Path(folder)
    place = folder / "displacement.nii.gz"
    if not place.is_file():
        raise InputError(f"{place}: not found; edit the scan with --effects 1, or by a method that displaces it.")
    before, after = read_array(scan).squeeze(), read_array(folder / "edited.nii.gz").squeeze()
    field, affine = read_displacement(place)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    steps = np.tensordot(np.linalg.inv(affine[:3, :3]).astype(np.float32), field, axes=1)
    painted = ndimage.distance_transform_edt(read_array(lesion).squeeze() == 0, sampling=sizes) <= (RIM + 1) * pixel_mm
    inside = before != 0 if brain is None else read_array(brain).squeeze() > 0
    moved = inside & ~painted & (length(field) > MOVED_MM)
    found = moved_texture(after, before, steps, moved, inside)
    return {
        "texture": None if found != found else found,
        "moved_ml": float(moved.sum() * np.prod(sizes) / 1000),
        "largest_mm": float(length(field).max()),
    }


def measure_scans(scans: str | Path, output: str | Path, bundle: str = "stroke", **options: Any) -> dict[str, Any]:
    """
    Edit all scans of a folder and measure every edit.

    Args:
        options: of the bundle's ``inference.yaml``.

    Returns:
        what ``moved_texture.json`` holds.

    Raises:
        InputError: as of the edits, or files of these names that mededit did not write.
    """
    scans, output = user_path(scans), user_path(output)
    own = OutputFolder(output)
    own.require_free(FILES)
    edit_scans(scans, output, bundle, **{"method": "morph", **options})
    pixel = DISEASES[bundle_disease(bundle_root(bundle))].pixel_mm
    rows = []
    for name in list_anatomies(scans):
        scan, mask = Path(name), Path(name).with_name(f"{stem(Path(name))}_brain.nii.gz")
        lesion, folder = output / "lesions" / f"{stem(scan)}.nii.gz", output / stem(scan)
        voxels = nib.load(scan).header.get_zooms()[:3]
        found = texture_of_edit(scan, lesion, folder, pixel, mask if mask.is_file() else None)
        rows.append({"scan": stem(scan), "voxels_mm": [float(v) for v in voxels], **found})
    content = {"synthetic": True, "note": DISCLAIMER, "bundle": bundle, "versions": versions(), "scans": rows}
    own.reserve(FILES)
    write_json(output / FILES[0], content)
    write_text(output / FILES[1], markdown(content))
    return content


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people."""
    rows = []
    for one in content["scans"]:
        texture, voxels = one["texture"], " x ".join(f"{v:.3g}" for v in one["voxels_mm"])
        met = "" if texture is None else "met" if WANTED[0] <= texture <= WANTED[1] else "**missed**"
        shown = "–" if texture is None else f"{texture:.3f}"
        rows.append([one["scan"], voxels, f"{one['moved_ml']:.1f}", f"{one['largest_mm']:.1f}", shown, met])
    heads = ["scan", "voxels, mm", "moved, ml", "largest displacement, mm", "texture", f"{WANTED[0]} … {WANTED[1]}"]
    text = f"Fine structure of moved tissue over that of the scan where it came from. {content['note']}"
    return "\n".join(
        [f"# Texture of moved tissue: {content['bundle']}", "", text, "", *markdown_table(heads, rows), ""]
    )


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="folder of T1 scans")
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--method", default="morph")
    parser.add_argument("--effects", type=float, default=1.0)
    parser.add_argument("--spatial_dims", type=int, default=2, choices=(2, 3))
    parser.add_argument("--output_dir", "-o", default="out/moved_texture")
    given = parser.parse_args(words)
    options = {"method": given.method, "effects": given.effects, "spatial_dims": given.spatial_dims}
    with exit_on_bad_input():
        content = measure_scans(given.scans, given.output_dir, given.bundle, **options)
    print(markdown(content))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

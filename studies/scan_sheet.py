# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Edits of real scans to look at: one lesion in every scan of a folder, all previews on one sheet.

    python -m studies.scan_sheet --scans DIR --bundle tumor --condition regions -o out/scans

Scans are T1 NIfTI files, skull-stripped or with ``X_brain.nii.gz`` beside them. Each gets a drawn lesion (the same
place in mm from the middle of its brain) and an edit with the bundle's defaults. There is no truth here: look.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.io.atomic import replacing
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder, require_outside
from mededit_monai.simulation.anatomies import list_anatomies, stem
from mededit_monai.simulation.drawing import draw_lesion
from mededit_monai.workflows import edit


def edit_scans(scans: str | Path, output: str | Path, bundle: str, radius: float = 16.0, **options: Any) -> list[Path]:
    """
    Edit every scan of a folder.

    Args:
        output: gets ``lesions``, a folder a scan, and ``sheet.png``.
        radius: of the lesion, mm.
        options: of the bundle's ``inference.yaml``.

    Returns:
        the folders written.

    Raises:
        InputError: no scans, or one that cannot be edited.
    """
    scans, output, labels = user_path(scans), user_path(output), DISEASES[bundle_disease(bundle_root(bundle))].labels
    require_outside(output, scans, "the scans")
    OutputFolder(output).require_free(["sheet.png"])
    folders = []
    for name in list_anatomies(scans):
        scan, mask = Path(name), Path(name).with_name(f"{stem(Path(name))}_brain.nii.gz")
        brain = mask if mask.is_file() else None
        lesion = output / "lesions" / f"{stem(scan)}.nii.gz"
        draw_lesion(scan, lesion, radius=radius, brain=brain, regions=labels)
        edit(scan, lesion, output, bundle=bundle, brain=brain, progress=False, **options)
        folders.append(output / stem(scan))
    with held_folder(output, ["sheet.png"]):
        save_sheet_of_previews([folder / "preview.png" for folder in folders], output / "sheet.png")
    return folders


def save_sheet_of_previews(previews: list[Path], path: Path) -> None:
    """All previews below one another, as wide as the widest."""
    pictures = [Image.open(preview).convert("RGB") for preview in previews]
    if not pictures:
        raise InputError(f"{path}: there is no preview to show; edit a scan first.")
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    with replacing(path) as unfinished:
        sheet.save(unfinished, format="PNG", optimize=True)


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="folder of T1 scans")
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--condition", default="mask")
    parser.add_argument("--method", default=None, help="default: the bundle's")
    parser.add_argument("--weights", default=None, help="other weights than the bundle's")
    parser.add_argument("--radius", type=float, default=16.0, help="of the lesion, mm")
    parser.add_argument("--output_dir", "-o", default="out/scans")
    given = parser.parse_args()
    options = {"condition": given.condition, "method": given.method, "weights": given.weights}
    with exit_on_bad_input():
        edit_scans(given.scans, given.output_dir, given.bundle, given.radius, **options)
    print(f"look at {Path(given.output_dir) / 'sheet.png'}")
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: edit the ICBM 152 T1 with a drawn lesion, or one's own scan."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.errors import InputError, exit_on_bad_input


def write_template(path: Path) -> None:
    """The ICBM 152 T1 that nilearn ships, as a 16-bit NIfTI like a scanner's."""
    from mededit_monai.simulation.anatomy import icbm152

    anatomy = icbm152()
    nib.save(nib.Nifti1Image(np.rint(anatomy.t1 * 1000).astype(np.int16), anatomy.affine), path)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scan", help="own T1, NIfTI (default: ICBM 152)")
    parser.add_argument("--pathology", help="own lesion mask (default: a drawn one)")
    parser.add_argument("--brain", help="brain mask, if the scan is not skull-stripped")
    parser.add_argument("--output_dir", default="out/demo")
    parser.add_argument("--picture", help="also copy the preview to this file")
    arguments = parser.parse_args()
    with exit_on_bad_input():
        folder = run_demo(arguments.scan, arguments.pathology, arguments.brain, Path(arguments.output_dir))
    if arguments.picture:
        Path(arguments.picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "preview.png", arguments.picture)
    print(f"\nThe edited brain is in {folder}/")
    print(f"  picture       {folder / 'preview.png'}")
    print(f"  volume        {folder / 'edited.nii.gz'}   (same grid as the scan; open both in any NIfTI viewer)")
    print(f"  what was done {folder / 'provenance.json'}")


def run_demo(scan: str | None, pathology: str | None, brain: str | None, output_dir: Path) -> Path:
    """Draw what is missing, edit, and return the case's folder."""
    from mededit_monai.simulation.drawing import draw_lesion
    from mededit_monai.workflows import edit

    output_dir.mkdir(parents=True, exist_ok=True)
    if pathology is not None and scan is None:
        raise InputError("--pathology: was given without --scan; the mask must lie on its scan's grid.")
    if scan is None:
        scan = str(output_dir / "icbm152_T1.nii.gz")
        write_template(Path(scan))
    if pathology is None:
        pathology = str(output_dir / "lesion.nii.gz")
        draw_lesion(scan, pathology, brain=brain)
    edit(scan, pathology, output_dir, brain=brain, progress=sys.stderr.isatty())
    name = Path(scan).name.removesuffix(".gz").removesuffix(".nii")
    return output_dir / name


if __name__ == "__main__":
    main()

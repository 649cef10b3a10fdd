# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: edit the ICBM 152 T1 with a drawn lesion, or one's own scan."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.outputs import require_apart, require_writable, write_output

#: In the output folder.
SCAN_FILE, LESION_FILE = "icbm152_T1.nii.gz", "lesion.nii.gz"


def template_bytes() -> bytes:
    """The ICBM 152 T1 that nilearn ships, as a compressed 16-bit NIfTI like a scanner's."""
    from mededit_monai.simulation.anatomy import icbm152

    anatomy = icbm152()
    with tempfile.TemporaryDirectory(prefix="mededit_") as folder:
        place = Path(folder) / SCAN_FILE
        nib.save(nib.Nifti1Image(np.rint(anatomy.t1 * 1000).astype(np.int16), anatomy.affine), place)
        return place.read_bytes()


def main() -> None:
    """Command line of the module."""
    run_program(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scan", help="own T1, NIfTI (default: ICBM 152)")
    parser.add_argument("--pathology", help="own lesion mask (default: a drawn one)")
    parser.add_argument("--brain", help="brain mask, if the scan is not skull-stripped")
    parser.add_argument("--output_dir", default="out/demo")
    parser.add_argument("--picture", help="also copy the preview to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the demo that were changed by hand")
    given = parser.parse_args()
    picture = None if given.picture is None else user_path(given.picture)
    if picture is not None:
        inputs = [user_path(path) for path in (given.scan, given.pathology, given.brain) if path is not None]
        require_apart(picture, inputs)
        require_writable(picture, given.overwrite)
    folder = run_demo(given.scan, given.pathology, given.brain, user_path(given.output_dir), given.overwrite)
    if picture is not None:
        write_output(picture, (folder / "preview.png").read_bytes(), overwrite=True)
    print(f"\nThe edited brain is in {folder}/")
    print(f"  picture       {folder / 'preview.png'}")
    print(f"  volume        {folder / 'edited.nii.gz'}   (same grid as the scan; open both in any NIfTI viewer)")
    print(f"  what was done {folder / 'provenance.json'}")


def run_demo(
    scan: str | None, pathology: str | None, brain: str | None, output_dir: Path, overwrite: bool = False
) -> Path:
    """
    Draw what is missing, edit, and return the case's folder.

    What an earlier demo wrote is replaced, unless somebody changed it since and ``overwrite`` is not given.

    Raises:
        InputError: bad input, or a file of somebody's in the place of one of the demo's.
    """
    from mededit_monai.io.case_names import case_name
    from mededit_monai.simulation.drawing import draw_lesion
    from mededit_monai.workflows import edit

    if pathology is not None and scan is None:
        raise InputError("--pathology: was given without --scan; the mask must lie on its scan's grid.")
    template, lesion = output_dir / SCAN_FILE, output_dir / LESION_FILE
    for place, absent in ((template, scan is None), (lesion, pathology is None)):
        if absent:  # before anything is written
            require_writable(place, overwrite)
    if scan is None:
        write_output(template, template_bytes(), overwrite=True)
    if pathology is None:
        draw_lesion(scan or template, lesion, brain=brain, overwrite=True)
    written = edit(
        str(scan or template),
        str(pathology or lesion),
        output_dir,
        brain=brain,
        progress=sys.stderr.isatty(),
        overwrite=overwrite,
    )
    # Nothing is written where all is done already.
    return written[0] if written else output_dir / case_name(output_dir, user_path(scan or template))


if __name__ == "__main__":
    main()

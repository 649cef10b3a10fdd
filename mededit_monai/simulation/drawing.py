# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A drawn lesion for a first try: an irregular ball on a scan's own grid."""

from __future__ import annotations

from pathlib import Path

from mededit_monai.lesions.files import write_lesion
from mededit_monai.lesions.wanted import Wanted


def draw_lesion(
    scan: str | Path,
    output: str | Path,
    centre: tuple[float, float, float] | None = None,
    radius: float = 14.0,
    brain: str | Path | None = None,
    seed: int = 0,
    regions: bool = False,
    overwrite: bool = False,
    strict: bool = False,
) -> int:
    """
    Write a mask with an irregular lesion inside the brain, and no picture; else as
    :func:`~mededit_monai.lesions.files.write_lesion`.

    Args:
        centre: world mm, RAS+; None for a point in the white matter of the patient's right hemisphere, found as 30 mm
            to the right of the brain's centre and 15 mm above it.
        radius: mean radius in mm.

    Returns:
        voxels in the mask.

    Raises:
        InputError: see there.
    """
    wanted = Wanted(shape="irregular", centre=centre, radii=(radius,) * 3)
    made = write_lesion(wanted, scan, output, brain, seed, regions, False, None, overwrite, strict, preview=False)
    return int(made["voxels"])

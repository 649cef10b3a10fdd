# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether masks and intensities are what they are said to be: the impossible is refused, the unlikely warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.brain import LARGEST_BRAIN_ML

#: Volumes of less than this along z are slabs or slices: what holds for a whole brain does not hold for them.
WHOLE_BRAIN_MM = 60.0

#: A brain mask of a whole head below this many ml is hardly one: a newborn's brain has about 350.
SMALLEST_BRAIN_ML = 250.0

#: Share of the brain that a lesion may cover: refused above the second, warned of above the first. The largest of 1449
#: real strokes that is no outlier covers about a third.
LESION_SHARE = (0.4, 0.7)

#: A lesion of which more than this lies outside the brain belongs to another scan, or lies on another grid.
OUTSIDE_SHARE = 0.8

#: More separate pieces than this are noise above a threshold.
MOST_PIECES = 1000

#: Share of negative voxels in the brain: above the first warned of (resampling leaves some), above the second refused.
NEGATIVE_SHARE = (0.02, 0.1)

#: The darkest hundredth of a T1-weighted brain is fluid, at up to a fifth of the 98th percentile; above this share of
#: it the scale does not begin at 0.
DARKEST_SHARE = 0.4


#: Of the brain's middle half, going by the distance from its surface, fluid is the darkest in T1-weighted scans and the
#: brightest in T2-weighted ones: the median lies in the upper, or the lower, part of the range. Real and simulated T1:
#: 0.69 to 0.85, simulated T2: 0.16 to 0.29 (FLAIR, where fluid is dark too, cannot be told so).
MEDIAN_SHARE = 0.5

#: Voxel sides in mm between which the networks have seen scans.
VOXEL_MM = (0.3, 5.0)


def brain_warnings(path: Path | None, brain: np.ndarray, scan: Volume) -> list[str]:
    """
    Check a brain mask's volume.

    Args:
        path: of the mask; None: it was found from the scan's background.
        brain: bool, XxYxZ RAS.

    Raises:
        InputError: far too large for a brain.
    """
    millilitres = float(brain.sum()) * scan.voxel_ml
    name = scan.path if path is None else path
    if millilitres > LARGEST_BRAIN_ML:
        raise InputError(
            f"{name}: is far too large for a brain mask ({millilitres:.0f} ml, a brain has at most "
            f"{LARGEST_BRAIN_ML:.0f}); give the mask of the brain alone, and see that it is not inverted."
        )
    if is_whole_brain(scan) and millilitres < SMALLEST_BRAIN_ML:
        what = "the brain found in the scan" if path is None else "the brain mask"
        return [f"{name.name}: {what} has {millilitres:.0f} ml only; check that it is one, and that lengths are in mm."]
    return []


def lesion_warnings(path: Path, lesion: np.ndarray, brain: np.ndarray, scan: Volume) -> list[str]:
    """
    Check a lesion mask against the brain.

    Args:
        path: of the mask.
        lesion: bool, XxYxZ RAS, not empty, as read.

    Raises:
        InputError: outside the brain, or most of the brain.
    """
    total, inside = int(lesion.sum()), int((lesion & brain).sum())
    if inside == 0:
        raise InputError(
            f"{path}: lies outside the brain (0 of {total} voxels inside the brain mask); check that both masks belong "
            f"to {scan.path}."
        )
    share = inside / int(brain.sum())
    warn, refuse = LESION_SHARE if is_whole_brain(scan) else (0.9, 0.9)
    if share > refuse:
        raise InputError(
            f"{path}: covers {share:.0%} of the brain, far too much for a lesion; see that the mask is not inverted, "
            f"and that it is not the brain mask."
        )
    outside = 1 - inside / total
    if outside > OUTSIDE_SHARE:
        raise InputError(
            f"{path}: lies mostly outside the brain ({outside:.1%} of {total} voxels); check that both masks belong to "
            f"{scan.path}."
        )
    warnings = [f"the lesion covers {share:.0%} of the brain; check the mask."] if share > warn else []
    if outside > 0:
        warnings.append(f"{outside:.1%} of the pathology mask lies outside the brain and was cut off.")
    pieces = int(ndimage.label(lesion)[1])
    if pieces > MOST_PIECES:
        warnings.append(
            f"the pathology mask has {pieces} separate pieces; check that it is not noise above a threshold."
        )
    return warnings


def scan_warnings(scan: Volume, brain: np.ndarray) -> list[str]:
    """What is odd about a scan within its brain: intensities, contrast, voxels."""
    return intensity_warnings(scan, brain) + contrast_warnings(scan, brain) + voxel_warnings(scan)


def intensity_warnings(scan: Volume, brain: np.ndarray) -> list[str]:
    """
    Check that a scan's intensities begin at 0, where air and fluid are: a lesion's darkness is measured from there.

    Raises:
        InputError: much of the brain is negative, as in a z-scored scan.
    """
    values = scan.data[brain]
    negative = float((values < 0).mean())
    warn, refuse = NEGATIVE_SHARE
    if negative > refuse:
        raise InputError(
            f"{scan.path}: is negative in {negative:.0%} of the brain (lowest {values.min():g}), as a z-scored or "
            f"shifted scan is; wanted intensities from 0 on, so give the scan as it was before, or add a constant so "
            f"that air "
            f"is 0."
        )
    if negative > warn:
        return [f"{scan.path.name}: is negative in {negative:.1%} of the brain; these voxels count as 0."]
    darkest, bright = np.percentile(values, [1, 98])
    if is_whole_brain(scan) and bright > 0 and darkest > DARKEST_SHARE * bright:
        return [
            f"{scan.path.name}: its darkest brain voxels have {darkest / bright:.0%} of the brightest's intensity, so "
            f"the scale does not seem to begin at 0 (shifted?) or the contrast not to be T1's; a lesion may come out "
            f"too "
            f"bright."
        ]
    return []


def contrast_warnings(scan: Volume, brain: np.ndarray) -> list[str]:
    """
    Check that fluid is darker than tissue, as in T1-weighted scans.

    Args:
        brain: bool, XxYxZ RAS.
    """
    if not is_whole_brain(scan):
        return []
    step = tuple(slice(None, None, max(1, int(2.5 / side))) for side in scan.spacing)
    sides = [side * part.step for side, part in zip(scan.spacing, step)]
    depth = ndimage.distance_transform_edt(brain[step], sampling=sides)
    low, median, high = np.percentile(scan.data[step][depth > depth.max() / 2], [2, 50, 98])
    if high <= low or (median - low) / (high - low) > MEDIAN_SHARE:
        return []
    return [
        f"{scan.path.name}: in the middle of its brain the fluid is brighter than the tissue, as in T2-weighted scans; "
        f"wanted a T1-weighted one."
    ]


def voxel_warnings(scan: Volume) -> list[str]:
    """Check that the voxels are of a size that the networks know."""
    if VOXEL_MM[0] <= min(scan.spacing) and max(scan.spacing) <= VOXEL_MM[1]:
        return []
    sides = " x ".join(f"{side:.3g}" for side in scan.spacing)
    return [
        f"{scan.path.name}: has voxels of {sides} mm, and the networks know {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm; "
        f"look at the result with care."
    ]


def is_whole_brain(scan: Volume) -> bool:
    """Whether a scan reaches over a whole brain, and is no slab or slice."""
    return scan.data.shape[2] * scan.spacing[2] >= WHOLE_BRAIN_MM

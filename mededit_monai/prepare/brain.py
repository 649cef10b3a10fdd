# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where the brain is: from a mask file, or from the background of a skull-stripped scan."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume

#: A skull-stripped foreground of more than this many ml is taken for a whole head: brains with fluid reach about 2000.
LARGEST_BRAIN_ML = 2300.0

#: A skull-stripped scan has at least this share of constant background.
SMALLEST_BACKGROUND = 0.2


class NotStripped(InputError):
    """A scan that shows more than a brain."""


def brain_from_background(scan: Volume) -> np.ndarray:
    """
    The brain mask of a skull-stripped scan: largest piece that differs from the background, holes filled.

    Args:
        scan: background exactly 0 (or the scan's constant lowest value).

    Returns:
        bool, XxYxZ.

    Raises:
        NotStripped: the scan shows more than a brain; names the ways to get a mask.
        InputError: it is constant.
    """
    ways = (
        "give a brain mask with --brain FILE (from HD-BET, SynthStrip, deepbet or FSL BET), or a scan whose background "
        "is 0 after skull-stripping"
    )
    data = scan.data
    background = 0.0 if np.count_nonzero(data == 0) else float(data.min())
    share = float(np.mean(data == background))
    if share < SMALLEST_BACKGROUND:
        raise NotStripped(
            f"{scan.path}: is not skull-stripped ({share:.0%} of its voxels are background, wanted at least "
            f"{SMALLEST_BACKGROUND:.0%}); {ways}."
        )
    labels, count = ndimage.label(data != background)
    if count == 0:
        raise InputError(f"{scan.path}: is constant ({background:g} everywhere); give a scan of a head.")
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    brain = ndimage.binary_fill_holes(largest)
    millilitres = float(brain.sum()) * scan.voxel_ml
    if millilitres > LARGEST_BRAIN_ML:
        raise NotStripped(
            f"{scan.path}: shows more than a brain ({millilitres:.0f} ml are not background, a brain has at most "
            f"{LARGEST_BRAIN_ML:.0f}); {ways}."
        )
    return brain

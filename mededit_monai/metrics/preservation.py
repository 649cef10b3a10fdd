# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is the rest still the patient's own scan, without a seam?"""

from __future__ import annotations

import numpy as np


def edge_gradient(image: np.ndarray, region: np.ndarray, within: np.ndarray) -> float:
    """
    Mean absolute step across a region's edge: over all pairs of face neighbours of which one lies in the region and
    one does not, both inside ``within``.

    Args:
        image: HxW[xD]; region, within: binary, same shape. ``within`` (the brain) keeps the skull-stripped border out.

    Returns:
        a step in the image's units; NaN if the region has no edge inside ``within``.
    """
    image, region, within = np.asarray(image, dtype=np.float64), np.asarray(region) > 0, np.asarray(within) > 0
    steps = []
    for axis in range(image.ndim):
        low, high = [slice(None)] * image.ndim, [slice(None)] * image.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        first, second = tuple(low), tuple(high)
        across = (region[first] != region[second]) & within[first] & within[second]
        steps.append(np.abs(image[first] - image[second])[across])
    every = np.concatenate(steps)
    return float(every.mean()) if every.size else float("nan")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How noisy a scan is, slice by slice, and noise for what was painted into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

#: Share of the pixels, the flattest, that noise is measured on: in the others anatomy is taken for noise.
FLAT = 1 / 3

#: Fewest pixels that noise is measured on.
FEWEST = 60

#: s.d. of a value less the mean of its four neighbours, for white noise of s.d. 1.
HIGH_PASS = np.sqrt(1 + 1 / 4)

_NEIGHBOURS = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])


def noise_level(planes: Sequence[np.ndarray], where: Sequence[np.ndarray]) -> float:
    """
    Standard deviation of white noise, from what a pixel differs by from its neighbours in the plane.

    Robust: 1.48 times the median of the absolute differences on the flattest third of the pixels (by the slope of the
    image averaged over 3x3 pixels), over √(5/4).

    Args:
        planes: slices, XxY each, any unit.
        where: bool, what of them counts; the outermost pixels of it do not.

    Returns:
        in the planes' unit; NaN if fewer than ``FEWEST`` pixels count.
    """
    differences, slopes = [], []
    for plane, mask in zip(planes, where):
        inner = ndimage.binary_erosion(mask, np.ones((3, 3)))
        if inner.any():
            values = np.asarray(plane, dtype=np.float64)
            smooth = ndimage.uniform_filter(values, 3)
            differences.append((values - ndimage.convolve(values, _NEIGHBOURS))[inner])
            slopes.append(np.hypot(*np.gradient(smooth))[inner])
    if sum(map(len, differences)) < FEWEST:
        return float("nan")
    difference, slope = np.concatenate(differences), np.concatenate(slopes)
    flat = slope <= np.quantile(slope, FLAT)
    return float(1.4826 * np.median(np.abs(difference[flat])) / HIGH_PASS)


def missing_noise(scan: float, painted: float) -> float:
    """s.d. of the noise that makes what was painted as noisy as the scan; 0 where either is not known."""
    lacking = scan**2 - painted**2
    return float(np.sqrt(lacking)) if lacking > 0 else 0.0  # NaN compares as false

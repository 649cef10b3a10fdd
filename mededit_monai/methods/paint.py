# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a lesion replaces, and the part of a grid that the painter network looks at."""

from __future__ import annotations

import numpy as np
import torch

from mededit_monai.space.masks import dilate

#: Width of the rim around the lesion that is painted with it, in model pixels.
RIM = 2

#: Least distance of the painted region from the edge of what the network sees, its smallest side, and what every side
#: is a multiple of, in model pixels.
MARGIN, SMALLEST_SIDE, MULTIPLE = 8, 64, 16


def paint_region(pathology: torch.Tensor, brain: torch.Tensor) -> torch.Tensor:
    """
    Where a lesion replaces tissue: p and a rim of ``RIM`` model pixels, within the brain.

    Args:
        pathology: p in the counterfactual's space, NxKxHxW[xD]; channels are united.
        brain: b, Nx1xHxW[xD].

    Returns:
        bool, Nx1xHxW[xD].
    """
    return dilate(pathology.amax(dim=1, keepdim=True), 2 * RIM + 1) & (brain > 0)


def crop_around(region: np.ndarray, margin: int = MARGIN, smallest: int = SMALLEST_SIDE) -> tuple[slice, ...]:
    """
    The box around a region that the painter is shown: ``margin`` wider on every side, each side at least ``smallest``
    and a multiple of ``MULTIPLE``, shifted to lie on the grid; along an axis that is shorter, all of it.

    Args:
        region: bool, HxW[xD]; empty: a box in the middle.

    Returns:
        a slice an axis.
    """
    box = []
    for axis, length in enumerate(region.shape):
        along = np.flatnonzero(region.any(axis=tuple(other for other in range(region.ndim) if other != axis)))
        low, high = (int(along[0]), int(along[-1]) + 1) if along.size else (length // 2, length // 2)
        side = max(high - low + 2 * margin, smallest)
        side += -side % MULTIPLE
        if side >= length:
            box.append(slice(0, length))
            continue
        first = min(max((low + high - side) // 2, 0), length - side)
        box.append(slice(first, first + side))
    return tuple(box)

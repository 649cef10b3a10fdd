# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a lesion replaces, and what the painter network looks at."""

from __future__ import annotations

import numpy as np
import torch

from mededit_monai.space.masks import dilate

#: s in y0 = (counterfactual - displaced scan) / s, scans in [-1, 1]: where a lesion replaces tissue, y0 is then of the
#: order of 1, which noise schedules are made for.
CHANGE_SCALE = 0.5

#: Width of the rim around the lesion that is painted with it, in model pixels, and about the same in mm, for grids
#: of other finenesses.
RIM, RIM_MM = 2, 3.6

#: Least distance of the painted region from the edge of what the network sees, its smallest side, and what every side
#: is a multiple of, in model pixels.
MARGIN, SMALLEST_SIDE, MULTIPLE = 8, 64, 16


def rim_width(pixel_mm: float) -> int:
    """Width of the rim in pixels of a grid; ``RIM`` on every model's."""
    return max(1, round(RIM_MM / pixel_mm))


def paint_region(pathology: torch.Tensor, brain: torch.Tensor, rim: int = RIM) -> torch.Tensor:
    """
    Where a lesion replaces tissue: p and a rim around it, within the brain.

    Args:
        pathology: p in the counterfactual's space, NxKxHxW[xD]; channels are united.
        brain: b, Nx1xHxW[xD].
        rim: its width in pixels.

    Returns:
        bool, Nx1xHxW[xD].
    """
    return dilate(pathology.amax(dim=1, keepdim=True), 2 * rim + 1) & (brain > 0)


def scaled_change(image: torch.Tensor, displaced: torch.Tensor) -> torch.Tensor:
    """y0 = (image - displaced scan) / s for scans in [-1, 1]; 0 where the lesion replaces nothing."""
    return (image - displaced) / CHANGE_SCALE


def limited_change(change: torch.Tensor, displaced: torch.Tensor, clip: tuple[float, float] | None) -> torch.Tensor:
    """ŷ0 limited to what keeps displaced scan + s ŷ0 within ``clip``: MONAI's clip of x̂0, for the change."""
    if clip is None:
        return change
    low, high = ((bound - displaced) / CHANGE_SCALE for bound in clip)
    return change.clamp(low, high)


def painter_channels(displaced: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
    """
    What the painter network sees behind y_t.

    Args:
        displaced: scan in [-1, 1], Nx1xHxW[xD]; brain: b, same shape.
        pathology: of :func:`~mededit_monai.space.conditions.fused_channels`, Nx5xHxW[xD].

    Returns:
        [b, mask, boxes, core, edema, rim, displaced scan], Nx7xHxW[xD].
    """
    return torch.cat([brain, pathology, displaced], dim=1)


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

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the measures share: masks and images of one shape, spacings, means over a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

#: Side of a model pixel in mm.
STROKE_PIXEL_MM = 233 / 128
TUMOR_PIXEL_MM = 200 / 128

#: One number for all axes, or one per axis; mm.
Spacing = float | Sequence[float]


def to_array(data: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    """
    An image as float64, so that unsigned integers do not wrap around.

    Raises:
        ValueError: if it is not 2-D or 3-D, is empty, or holds values that are not finite.
    """
    array = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
    array = array.astype(np.float64)
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; wanted HxW or HxWxD without batch and channel.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite; nothing can be measured on it.")
    return array


def to_mask(data: np.ndarray | torch.Tensor, like: np.ndarray, name: str) -> np.ndarray:
    """
    A mask (> 0) as bool.

    Raises:
        ValueError: if its shape is not that of ``like``.
    """
    mask = to_array(data, name) > 0
    same_shape(mask, like, name)
    return mask


def to_labels(data: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    """A label image as int64; raises ValueError as :func:`to_array`."""
    return np.rint(to_array(data, name)).astype(np.int64)


def same_shape(array: np.ndarray, like: np.ndarray, name: str) -> None:
    """Raises ValueError, naming both shapes, where they differ."""
    if array.shape != like.shape:
        raise ValueError(f"{name} has shape {array.shape}, wanted {like.shape} as the other images of the case.")


def spacing_of(spacing: Spacing, ndim: int) -> tuple[float, ...]:
    """
    Spacing in mm, one number per axis.

    Raises:
        ValueError: for another number of axes, or a spacing that is not positive.
    """
    numbers = (float(spacing),) * ndim if np.ndim(spacing) == 0 else tuple(float(s) for s in spacing)  # type: ignore
    if len(numbers) != ndim or not all(np.isfinite(s) and s > 0 for s in numbers):
        raise ValueError(f"spacing is {spacing}; wanted one positive number in mm, or one for each of {ndim} axes.")
    return numbers


def mean_over(values: np.ndarray, mask: np.ndarray) -> float:
    """Mean over a mask; NaN where it is empty."""
    return float(values[mask].mean()) if mask.any() else float("nan")


def ratio(numerator: float, denominator: float) -> float:
    """Quotient; NaN where the denominator is 0 or either is missing."""
    return numerator / denominator if denominator else float("nan")

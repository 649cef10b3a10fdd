# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Intensities: a scan's own units ↔ the exchange range [0, 1] ↔ the diffusion model's [-1, 1]."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def intensity_ceiling(plane: np.ndarray, percentile: float) -> float:
    """
    The intensity that becomes 1: the slice's percentile, background included (thesis: 98 for ATLAS, 99.5 for BraTS).

    Args:
        plane: skull-stripped slice on the 1 mm window, XxY, in the scan's units.

    Returns:
        a positive number; where the percentile is not positive (a slice with very little brain), the slice's maximum,
        and 1 for an empty slice.
    """
    ceiling = float(np.percentile(plane, percentile))
    if ceiling > 0:
        return ceiling
    peak = float(plane.max(initial=0.0))
    return peak if peak > 0 else 1.0


def to_unit(plane: np.ndarray, ceiling: float) -> np.ndarray:
    """Clamp to [0, ceiling] and divide by it: [0, 1]. Negative values (resampling overshoot) become 0."""
    return np.clip(plane / ceiling, 0.0, 1.0).astype(np.float32)


def to_model_range(unit: Array) -> Array:
    """[0, 1] → [-1, 1]."""
    return unit * 2 - 1


def to_unit_range(model: Array) -> Array:
    """[-1, 1] → [0, 1]."""
    return (model + 1) / 2

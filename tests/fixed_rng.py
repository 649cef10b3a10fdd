# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A random generator whose draws are known, so that a random recipe has an answer that can be worked out by hand."""

from __future__ import annotations

import numpy as np


class FixedRng:
    """Every uniform draw is one end of its range (``end`` 0 low, 1 high); normal noise is a single 1 in a corner."""

    def __init__(self, end: int) -> None:
        self.end = end

    def uniform(self, low: float = 0.0, high: float = 1.0, size=None):
        value = (low, high)[self.end]
        return value if size is None else np.full(size, value)

    def standard_normal(self, shape, dtype=np.float64) -> np.ndarray:
        noise = np.zeros(shape, dtype)
        noise[..., 0, 0] = 1
        return noise

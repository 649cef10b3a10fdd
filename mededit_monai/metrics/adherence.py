# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is the lesion there?"""

from __future__ import annotations

import numpy as np


def intensity_drop(prior: np.ndarray, image: np.ndarray, pathology: np.ndarray) -> float:
    """
    Mean darkening inside the pathology mask: mean over p of (prior - image).

    Args:
        prior, image: same shape and units; pathology: binary, not empty.

    Raises:
        ValueError: if the mask is empty.
    """
    inside = np.asarray(pathology) > 0
    if not inside.any():
        raise ValueError("the pathology mask is empty; there is nothing to measure.")
    return float((np.asarray(prior, dtype=np.float64) - np.asarray(image, dtype=np.float64))[inside].mean())

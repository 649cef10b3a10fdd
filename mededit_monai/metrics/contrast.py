# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an edit shows the lesion as strongly as the truth does."""

from __future__ import annotations

import numpy as np

#: A necrotic core of fewer pixels is partial volume of its rim.
SMALLEST_CORE = 6


def lesion_contrast(prior: np.ndarray, edit: np.ndarray, truth: np.ndarray, pathology: np.ndarray) -> float:
    """
    How much of the true change an edit shows inside p: ⟨prior − edit, prior − truth⟩ / ‖prior − truth‖² over p.

    1 is the truth, 0 no edit, negative the opposite change; brighter and darker parts of a lesion both count. Blind
    spot: a change in the right direction that is too strong scores above 1, whatever it looks like.

    Args:
        prior, edit, truth: HxW[xD] in [0, 1].
        pathology: binary, HxW[xD].

    Returns:
        the share; nan where the truth does not change.
    """
    inside = np.asarray(pathology) > 0
    wanted = (np.asarray(prior, dtype=np.float64) - truth)[inside]
    found = (np.asarray(prior, dtype=np.float64) - edit)[inside]
    size = float(wanted @ wanted)
    return float(found @ wanted) / size if size else float("nan")


def core_contrast(image: np.ndarray, regions: np.ndarray) -> float | None:
    """
    How much darker the necrotic core is than the enhancing rim: difference of their means.

    Args:
        image: HxW[xD] in [0, 1].
        regions: labels, 1 core and 3 rim.

    Returns:
        the difference; None without a rim or with a core of fewer than six pixels.
    """
    core, rim = np.asarray(regions) == 1, np.asarray(regions) == 3
    if core.sum() < SMALLEST_CORE or not rim.any():
        return None
    return float(np.mean(np.asarray(image)[rim]) - np.mean(np.asarray(image)[core]))

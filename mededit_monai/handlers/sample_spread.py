# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Mean and spread of the samples of a case, of which one volume each is kept."""

from __future__ import annotations

import numpy as np


class Spread:
    """
    The samples so far.

    Attributes:
        region: bool, where any of the edits on the model's grid may differ from the prior.
    """

    region: np.ndarray
    _total: np.ndarray

    def __init__(self) -> None:
        self._volumes: list[np.ndarray] = []

    def add(self, volume: np.ndarray, edit: np.ndarray, region: np.ndarray) -> None:
        """
        Args:
            volume: on the scan's grid, float32; edit, region: on the model's.
        """
        first = not self._volumes
        self._total = edit.copy() if first else self._total + edit
        self.region = region.copy() if first else self.region | region
        self._volumes.append(volume)

    @property
    def mean_edit(self) -> np.ndarray:
        """Mean of the edits on the model's grid."""
        return self._total / len(self._volumes)

    def mean_and_sd(self) -> tuple[np.ndarray, np.ndarray]:
        """
        Mean of the volumes and their standard deviation (divided by how many there are), float32.

        Worked out in float64, plane by plane: of all volumes at once that would take three times their memory.
        """
        mean, sd = (np.empty_like(self._volumes[0], dtype=np.float32) for _ in range(2))
        for k in range(len(mean)):
            plane = np.stack([volume[k] for volume in self._volumes])
            mean[k], sd[k] = plane.mean(0, dtype=np.float64), plane.std(0, dtype=np.float64)
        return mean, sd

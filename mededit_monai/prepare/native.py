# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The scan as it is stored, and the way back to it from what the model was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mededit_monai.io.nifti import Volume
from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import NativeFlow, places_of
from mededit_monai.space.restore import DisplacedScan
from mededit_monai.space.turned import TurnedGrid


@dataclass(frozen=True, eq=False)
class Native:
    """
    A scan and its masks as given, XxYxZ RAS.

    Args:
        scan: of the file; brain, lesion: bool.
        gain: of the scanner's bias field, divided out of what the model was shown; evened: what was left, XxYxZ. None:
            nothing was divided out.
        upright: the copy that the model was shown, where the head was turned; None: it was shown the scan's own grid.
        regions: a tumour's labels, where the case has them, uint8.
    """

    scan: Volume
    brain: np.ndarray
    lesion: np.ndarray
    gain: np.ndarray | None = None
    evened: np.ndarray | None = None
    upright: Volume | None = None
    regions: np.ndarray | None = None

    @classmethod
    def of(cls, case: Mapping[str, Any]) -> Native:
        """Of a case: its own, or what its transforms took as it was."""
        found = case.get("native")
        return found if found is not None else cls(case["scan"], case["brain_volume"], case["lesion_volume"])

    def flow(self, shown: NativeFlow) -> NativeFlow:
        """A displacement of what the model was shown, on the scan's grid."""
        return shown if self.upright is None else shown.on(self.scan.affine, self.brain.shape)

    def displaced(self, flow: NativeFlow) -> DisplacedScan:
        """The scan, without its bias field, pulled through a displacement of its grid."""
        return DisplacedScan.of(self.scan.data if self.evened is None else self.evened, flow, self.brain)

    def grid(self, shown: ModelSpace | FineBox) -> ModelSpace | FineBox | TurnedGrid:
        """A grid of what the model was shown, as the scan's voxels see it."""
        if self.upright is None:
            return shown
        to_upright = places_of(self.scan.affine, self.upright.affine)
        return TurnedGrid(shown, self.upright.data.shape, to_upright)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a painter of volumes is shown of a scan: a box around the lesion, fine enough, after the displacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mededit_monai.io.nifti import Volume
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.fine_box import FineBox
from mededit_monai.space.intensity import to_model_range, to_unit
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import NativeFlow, native_flow
from mededit_monai.space.restore import DisplacedScan

#: Least distance of a lesion from the box's faces, in mm, its smallest side, and what every side is a multiple of.
MARGIN_MM, SMALLEST_SIDE, MULTIPLE = 14.0, 48, 16


@dataclass(frozen=True, eq=False)
class FineView:
    """
    A scan in a box.

    Args:
        scan, brain: of the case, on the scan's grid; space: the model's; ceiling: the scan's intensity of 1.
        box: the grid of what follows.
        image: scan within the brain in [0, 1], after the displacement if any; float32.
        inside: the brain, bool.
        told: condition channels of the lesion, Kx…, float32.
        flow, displaced: what moved, on the scan's grid; None: nothing was asked to.
    """

    scan: Volume
    brain: np.ndarray
    space: ModelSpace
    ceiling: float
    box: FineBox
    image: np.ndarray
    inside: np.ndarray
    told: np.ndarray
    flow: NativeFlow | None = None
    displaced: DisplacedScan | None = None

    @classmethod
    def of(cls, case: Mapping[str, Any], space: ModelSpace, ceiling: float, condition: str) -> FineView:
        """
        Args:
            case: with ``scan``, ``brain``, ``pathology`` and, for the condition of that name, ``regions``.
        """
        scan, brain, lesion = case["scan"], case["brain"], case["pathology"]
        box = FineBox.around(lesion, np.asarray(scan.spacing), MARGIN_MM, SMALLEST_SIDE, MULTIPLE)
        inside, mask = box.to_fine(brain) >= 0.5, box.mask(lesion)
        labels = mask.astype(np.uint8) if condition != "regions" else box.labels(case["regions"]) * mask
        told = condition_channels(torch.from_numpy(labels * inside)[None], condition).numpy()
        empty = np.zeros(box.shape, np.float32)
        return cls(scan, brain, space, ceiling, box, empty, inside, told)._with_image(None)

    def displaced_by(self, displacement: np.ndarray) -> FineView:
        """
        The same after a displacement.

        Args:
            displacement: mm along the model's axes, 3 x ``space.shape``.
        """
        flow = native_flow(self.space, displacement[None], self.brain.shape)
        moved = DisplacedScan.of(self.scan.data, flow, self.brain)
        return replace(self, flow=flow, displaced=moved)._with_image(moved)

    def tensors(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scan in [-1, 1], brain (1x1x…) and condition (1xKx…), of the type and on the device of another tensor."""
        parts = (self.image[None], self.inside[None], self.told)
        image, inside, told = (torch.from_numpy(np.ascontiguousarray(one, np.float32))[None].to(like) for one in parts)
        return to_model_range(image), inside, told

    def _with_image(self, moved: DisplacedScan | None) -> FineView:
        """With the scan's own intensities, or what moved of them."""
        sides = self.box.voxels[2]
        near = np.zeros(self.brain.shape, np.float32, order="F")  # planes that are not touched take no memory
        for z in range(max(0, sides.start - 2), min(sides.stop + 2, self.brain.shape[2])):
            plane = self.scan.data[:, :, z].astype(np.float32)
            plane = moved.on_slice(plane, z)[0] if moved else plane
            near[:, :, z] = plane * self.brain[:, :, z]
        return replace(self, image=to_unit(self.box.to_fine(near), self.ceiling) * self.inside)


@dataclass(frozen=True, eq=False)
class FineEdit:
    """
    What was painted into a view.

    Args:
        edit: in [0, 1], the view's box, float32; painted: where it may differ from the view's image, bool.
    """

    view: FineView
    edit: np.ndarray
    painted: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """What was added to the view's image."""
        return np.where(self.painted, self.edit - self.view.image, 0)

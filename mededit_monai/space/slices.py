# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From checked volumes to the batch of axial slices that the model sees."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from scipy import ndimage

from mededit_monai.core.errors import InputError
from mededit_monai.methods.conditions import REGION_LABELS, condition_channels
from mededit_monai.space.geometry import ModelGrid
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.masks import dilate, tapered_dilation

#: Where ``auto`` chooses a slice with less than this share of the lesion, it says so.
LESION_SHARE = 0.9


class AxialSlicesd(Transform):
    """
    Cut a loaded case (:class:`~mededit_monai.prepare.load.LoadCased`) into model slices.

    Adds ``image``, ``brain``, ``pathology``, ``region``: float32 tensors Sx1x128x128 (image in [0, 1]); ``condition``:
    SxKx128x128, what the network is told of the pathology; ``grid``: the
    :class:`~mededit_monai.space.geometry.ModelGrid`; ``slices``: S indices on the RAS z axis; ``ceilings``: the
    scan's intensity that became 1, per slice; ``brain_volume``: the native mask; ``lesion_share``: of the lesion's
    voxels, in these slices.

    Args:
        slice_index: a RAS axial index, ``auto`` (largest lesion area) or ``all`` (every slice that the dilated lesion
            touches, see :func:`~mededit_monai.space.masks.tapered_dilation`).
        region: ``dilate``, ``pathology``, ``brain`` or ``image`` (no limit), or ``file`` for the case's own.
        dilation: k in model pixels, for ``dilate`` and ``all``.
        window: side of the model's window in mm.
        percentile: of the skull-stripped slice on the 1 mm window that becomes intensity 1.
        size: model pixels a side.
        condition: ``mask``, ``box`` or ``regions`` (from the case's ``regions``). The region grows from the boxes.
    """

    def __init__(
        self,
        slice_index: int | str = "auto",
        region: str = "dilate",
        dilation: int = 25,
        window: int = 233,
        percentile: float = 98.0,
        size: int = 128,
        condition: str = "mask",
    ) -> None:
        self.condition = condition
        self.slice_index, self.region, self.dilation = slice_index, region, dilation
        self.window, self.percentile, self.size = window, percentile, size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        scan, brain, pathology = case["scan"], case["brain"], case["pathology"]
        grid = ModelGrid.around_brain(brain, scan.spacing[:2], self.window, self.size)
        reach = self.dilation if self.region == "dilate" else 0
        slices = chosen_slices(pathology, self.slice_index, reach * grid.pixel_mm / 2 / scan.spacing[2], scan.path)
        planes: dict[str, list[np.ndarray]] = {"image": [], "brain": [], "pathology": [], "region": []}
        ceilings = []
        for z in slices:
            brain_mm = grid.to_millimetres(brain[:, :, z], order=0)
            stripped = grid.to_millimetres(scan.data[:, :, z]) * brain_mm
            inside = grid.mask_to_model(brain_mm)
            # Slices in model space are in the exchange range already; a second percentile would dim them.
            ready = grid.is_model_space and scan.data.min() >= 0 and scan.data.max() <= 1 + 1e-6
            ceilings.append(1.0 if ready else intensity_ceiling(stripped, self.percentile))
            small = grid.to_model(to_unit(stripped, ceilings[-1]))
            planes["image"].append(np.clip(small, 0, 1) * inside)  # the filter's weights add up to 1 ± 1e-7
            planes["brain"].append(inside)
            planes["pathology"].append(_model_mask(grid, pathology[:, :, z]) & inside)
            if self.region == "file":
                planes["region"].append(_model_mask(grid, case["region_file"][:, :, z]) & inside)
        share = float(pathology[:, :, slices].sum() / pathology.sum())
        if self.slice_index == "auto" and share < LESION_SHARE:
            count = int(pathology.any(axis=(0, 1)).sum())
            case["warnings"] = [
                *case.get("warnings", ()),
                f"only slice {slices[0]} was edited: 1 of the {count} slices of the lesion, {share:.1%} of its voxels; "
                f"--slice_index all edits every slice.",
            ]
        stacks = {key: np.stack(value) for key, value in planes.items() if value}
        labels = stacks["pathology"].astype(np.uint8)
        if self.condition == "regions":
            labels = np.stack([_model_labels(grid, case["regions"][:, :, z]) for z in slices]) * stacks["pathology"]
        stacks["condition"] = np.stack([self._channels(plane) for plane in labels])
        if self.region != "file":
            stacks["region"] = self._region(stacks, scan.spacing[2] / grid.pixel_mm)
        if not stacks["region"].any():
            raise InputError(f"{scan.path}: the edit region is empty in slices {slices}; choose another --region.")
        if self.slice_index == "all":  # the taper may end before the reach does
            touched = np.flatnonzero(stacks["region"].any(axis=(1, 2)))
            kept = slice(touched[0], touched[-1] + 1)
            stacks = {key: stack[kept] for key, stack in stacks.items()}
            slices, ceilings = slices[kept], ceilings[kept]
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for k, v in stacks.items()}
        tensors = {k: v if k == "condition" else v[:, None] for k, v in tensors.items()}
        facts = {"grid": grid, "slices": slices, "ceilings": ceilings, "brain_volume": brain, "lesion_share": share}
        return case | tensors | facts

    def _channels(self, labels: np.ndarray) -> np.ndarray:
        return condition_channels(torch.from_numpy(labels)[None], self.condition).numpy()

    def _region(self, stacks: dict[str, np.ndarray], slice_pixels: float) -> np.ndarray:
        pathology, brain = stacks["condition"].any(axis=1), stacks["brain"]
        if self.region == "image":
            return np.ones_like(brain)
        if self.region == "brain":
            return brain
        if self.region == "pathology":
            return pathology & brain  # a box may reach beyond the brain
        if self.slice_index == "all":
            return tapered_dilation(pathology, self.dilation, slice_pixels) & brain
        return dilate(torch.from_numpy(pathology)[:, None], self.dilation)[:, 0].numpy() & brain


def chosen_slices(pathology: np.ndarray, slice_index: int | str, reach: float, name: object = "scan") -> list[int]:
    """
    RAS axial indices to edit.

    Args:
        pathology: XxYxZ, not empty.
        slice_index: index, ``auto`` or ``all``.
        reach: half the dilation kernel, in slices.

    Raises:
        InputError: if the index is outside the scan or its slice holds no lesion; names the slices that do.
    """
    area = pathology.sum(axis=(0, 1))
    lesion = np.flatnonzero(area)
    if slice_index == "auto":
        return [int(area.argmax())]
    if slice_index == "all":
        beyond = max(0, int(np.ceil(reach)) - 1)
        return list(range(max(0, lesion[0] - beyond), min(len(area) - 1, lesion[-1] + beyond) + 1))
    index = int(slice_index)
    if not 0 <= index < len(area) or area[index] == 0:
        raise InputError(
            f"--slice_index {index}: axial slice {index} of {name} (0 to {len(area) - 1}, RAS) holds no pathology; "
            f"choose one of {lesion[0]} to {lesion[-1]}, 'auto' or 'all'."
        )
    return [index]


def _model_labels(grid: ModelGrid, plane: np.ndarray) -> np.ndarray:
    """A native slice of a tumour's labels on the model's grid: in each pixel the one that covers most of it."""
    shares = [grid.to_model(grid.to_millimetres((plane == label).astype(np.float32))) for label in REGION_LABELS]
    return (np.argmax(shares, axis=0) + 1).astype(np.uint8)


def _model_mask(grid: ModelGrid, plane: np.ndarray) -> np.ndarray:
    """A native binary slice on the model's grid."""
    if not plane.any():
        return np.zeros((grid.size, grid.size), dtype=bool)
    covered = grid.to_millimetres(plane)
    if not covered.any():  # a lesion between the samples of a much finer grid
        covered = grid.to_millimetres(ndimage.maximum_filter(plane, size=int(np.ceil(1 / min(grid.spacing)))))
    return grid.mask_to_model(covered)

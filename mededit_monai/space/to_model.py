# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From checked volumes to what the model sees: a stack of axial slices, or one volume."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.fine_view import FineView
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.masks import dilate, tapered_dilation
from mededit_monai.space.model_size import MODEL_DEPTH, MODEL_SIZE
from mededit_monai.space.model_space import ModelSpace, shrunk

#: Where ``auto`` chooses a slice with less than this share of the lesion, it says so.
LESION_SHARE = 0.9


class ToModelSpaced(Transform):
    """
    Bring a loaded case (:class:`~mededit_monai.prepare.load.LoadCased`) to the model's grid.

    Adds ``image``, ``brain``, ``pathology``, ``region``: float32 tensors Sx1x128x128, or 1x1x128x128x112 in 3-D (image
    in [0, 1]); ``condition``: SxKx128x128[x112], what the network is told of the pathology; ``space``: the
    :class:`~mededit_monai.space.model_space.ModelSpace` of these; ``slices``: indices on the RAS z axis that may
    change; ``ceilings``: the scan's intensity that became 1, per slice or of the volume; ``brain_volume``,
    ``lesion_volume``: the native masks; ``lesion_share``: of the lesion's voxels, in these slices.

    Args:
        slice_index: a RAS axial index, ``auto`` (largest lesion area) or ``all`` (every slice that the dilated lesion
            touches, see :func:`~mededit_monai.space.masks.tapered_dilation`; none of those between its pieces).
        region: ``dilate``, ``pathology``, ``brain`` or ``image`` (no limit), or ``file`` for the case's own.
        dilation: k in model pixels, for ``dilate`` and ``all``.
        window: side of the model's window in mm.
        percentile: of the skull-stripped slice on the 1 mm window that becomes intensity 1; of a volume, the slice with
            the most brain.
        size, depth: model pixels a side, and along z in 3-D.
        condition: ``mask``, ``box`` or ``regions`` (from the case's ``regions``). The region grows from the boxes.
        spatial_dims: 2 for slices, 3 for the whole volume.
        fine: add ``fine``, a :class:`~mededit_monai.space.fine_view.FineView` of a volume, unless the scan is on the
            model's grid already.

    Raises:
        InputError: slices chosen of a whole volume or without lesion, a single slice where a volume is wanted, an empty
            edit region.
    """

    def __init__(
        self,
        slice_index: int | str = "all",
        region: str = "dilate",
        dilation: int = 25,
        window: int = 233,
        percentile: float = 98.0,
        size: int = MODEL_SIZE,
        condition: str = "mask",
        spatial_dims: int = 2,
        depth: int = MODEL_DEPTH,
        fine: bool = False,
    ) -> None:
        if spatial_dims == 3 and slice_index != "all":
            raise InputError(
                f"--slice_index: got {slice_index!r}, but --spatial_dims 3 edits the whole volume; leave it out."
            )
        self.condition = condition
        self.slice_index, self.region, self.dilation = slice_index, region, dilation
        self.window, self.percentile, self.size = window, percentile, size
        self.depth = depth if spatial_dims == 3 else None
        self.fine = fine and spatial_dims == 3

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        scan, brain, pathology = case["scan"], case["brain"], case["pathology"]
        if self.depth is not None and min(brain.shape) == 1:
            shape = "x".join(map(str, brain.shape))
            raise InputError(
                f"{scan.path}: is a single slice ({shape}), but --spatial_dims 3, the default of morph, edits volumes; "
                f"give --spatial_dims 2 or --slice_index auto."
            )
        space = ModelSpace.around_brain(brain, scan.affine, self.window, self.size, self.depth)
        if self.depth is None:
            reach = self.dilation if self.region == "dilate" else 0
            reach_slices = reach * space.pixel_mm / 2 / scan.spacing[2]
            space = space.at(chosen_slices(pathology, self.slice_index, reach_slices, scan.path))
        image, inside, ceilings = model_image(space, scan, brain, self.percentile)
        lesion = space.to_model(pathology, "mask") & inside
        labels = lesion.astype(np.uint8)
        if self.condition == "regions":
            labels = space.to_model(case["regions"], "labels") * lesion
        channels = [condition_channels(torch.from_numpy(row)[None], self.condition).numpy() for row in labels]
        condition = np.stack(channels)
        if self.region == "file":
            region = space.to_model(case["region_file"], "mask") & inside
        else:
            region = self._region(condition.any(axis=1), inside, scan.spacing[2] / space.pixel_mm)
        rows = {"image": image, "brain": inside, "pathology": lesion, "condition": condition, "region": region}
        slices = [int(z) for z in space.heights] if self.depth is None else space.reached(region, brain.shape[2])
        odd = space.window_warnings(brain=brain, lesion=pathology)
        if not region.any():
            where = f"slices {slices}" if self.depth is None else "the whole volume"
            beyond = f" ({'; '.join(odd).rstrip('.')})" if odd else ""
            raise InputError(f"{scan.path}: the edit region is empty in {where}{beyond}; choose another --region.")
        if odd:
            case["warnings"] = [*case.get("warnings", ()), *odd]
        share = float(pathology[:, :, slices].sum() / pathology.sum())
        if self.slice_index == "auto" and share < LESION_SHARE:
            count = int(pathology.any(axis=(0, 1)).sum())
            case["warnings"] = [
                *case.get("warnings", ()),
                f"only slice {slices[0]} was edited: 1 of the {count} slices of the lesion, {share:.1%} of its voxels; "
                f"--slice_index all edits every slice.",
            ]
        if self.slice_index == "all" and self.depth is None:  # the taper may end before the reach does
            kept = np.flatnonzero(region.any(axis=(1, 2)))
            rows = {key: stack[kept] for key, stack in rows.items()}
            slices, ceilings = [slices[row] for row in kept], [ceilings[row] for row in kept]
            space = space.at(slices)
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for k, v in rows.items()}
        tensors = {k: v if k == "condition" else v[:, None] for k, v in tensors.items()}
        masks = {"brain_volume": brain, "lesion_volume": pathology}
        if self.fine and not space.is_model_space:
            case["fine"] = FineView.of(case, space, ceilings[0], self.condition)
        return case | tensors | masks | {"space": space, "slices": slices, "ceilings": ceilings, "lesion_share": share}

    def _region(self, pathology: np.ndarray, brain: np.ndarray, slice_pixels: float) -> np.ndarray:
        if self.region == "image":
            return np.ones_like(brain)
        if self.region == "brain":
            return brain
        if self.region == "pathology":
            return pathology & brain  # a box may reach beyond the brain
        if self.slice_index == "all" and self.depth is None:
            # Over a gap between pieces, too: all slices that a piece reaches are there, so that it ends before the gap.
            return tapered_dilation(pathology, self.dilation, slice_pixels) & brain
        return dilate(torch.from_numpy(pathology)[:, None], self.dilation)[:, 0].numpy() & brain


def model_image(
    space: ModelSpace, scan: Volume, brain: np.ndarray, percentile: float
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """
    A scan as a network sees it: scan x brain in [0, 1] on the model's grid.

    Args:
        brain: bool on the scan's grid, XxYxZ.
        percentile: of the slice on the 1 mm window that becomes 1; of a volume, the slice with the most brain.

    Returns:
        image (rows x ``space.shape``, float32 in [0, 1]), brain (the same, bool), and the scan's intensities of 1: one
        a row.
    """

    def stripped(z: int) -> np.ndarray:
        return space.to_window(scan.data[:, :, z]) * space.to_window(brain[:, :, z], order=0)

    # What is in model space is in the exchange range already; a second percentile would dim it.
    ready = space.is_model_space and scan.data.min() >= 0 and scan.data.max() <= 1 + 1e-6

    def ceiling(window: np.ndarray) -> float:
        return 1.0 if ready else intensity_ceiling(window, percentile)

    ceilings = [] if space.spatial_dims == 2 else [ceiling(stripped(int(brain.sum(axis=(0, 1)).argmax())))]

    def plane(z: int) -> np.ndarray:
        window = stripped(z)
        if space.spatial_dims == 2:
            ceilings.append(ceiling(window))
        return shrunk(to_unit(window, ceilings[-1]), space.size)

    inside = space.to_model(brain, "brain")
    image = space.resample(plane, brain.any(axis=(0, 1)))
    return np.clip(image, 0, 1) * inside, inside, ceilings  # the filter's weights add up to 1 ± 1e-7


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
        distance = np.abs(np.arange(len(area))[:, None] - lesion).min(axis=1)
        return [int(z) for z in np.flatnonzero(distance <= beyond)]
    index = int(slice_index)
    if not 0 <= index < len(area) or area[index] == 0:
        raise InputError(
            f"--slice_index {index}: axial slice {index} of {name} (0 to {len(area) - 1}, RAS) holds no pathology; "
            f"choose one of {_spans(lesion)}, 'auto' or 'all'."
        )
    return [index]


def _spans(slices: np.ndarray) -> str:
    """Ascending indices as words: ``11 to 15, 20, 29 to 39``."""
    runs = np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1)
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From a case's file names to checked volumes in RAS order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Transform

from mededit_monai.errors import InputError
from mededit_monai.transforms.brain import brain_from_background
from mededit_monai.transforms.nifti import (
    BINARY,
    TUMOR_LABELS,
    Volume,
    binary_mask,
    label_mask,
    read_volume,
    require_same_grid,
)


class LoadCased(Transform):
    """
    Read a case to edit and check everything about it before anything is computed.

    Input keys: ``scan``, ``pathology`` and perhaps ``brain``, ``region_file``: paths. Output: ``scan`` becomes a
    :class:`~mededit_monai.transforms.nifti.Volume`, ``pathology``, ``brain`` and ``region_file`` bool arrays on its
    grid (XxYxZ, RAS); ``brain_source`` says where the brain mask came from and ``warnings`` collects sentences.

    Args:
        labels: whether the pathology may be a tumour's label map (1 core, 2 edema, 3 or 4 enhancing).
        condition: ``regions`` wants such a map, and adds it as ``regions``, uint8.

    Raises:
        InputError: for anything that cannot be edited; see ``read_volume``, ``binary_mask``, ``brain_from_background``.
    """

    def __init__(self, labels: bool = False, condition: str = "mask") -> None:
        if condition == "regions" and not labels:
            raise InputError(
                "--condition: 'regions' is for tumours, wanted mask or box with this bundle; use --bundle tumor."
            )
        self.labels, self.condition = labels, condition

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        warnings: list[str] = list(case.get("warnings", []))
        scan = read_volume(case["scan"])
        if float(scan.data.max()) <= 0:
            raise InputError(f"{scan.path}: has no positive voxel (maximum {scan.data.max():g}); give a T1 scan.")
        if case.get("brain"):
            brain, source = _mask_on(scan, case["brain"]), "file"
        else:
            brain, source = brain_from_background(scan), "background"
        pathology = _mask_on(scan, case["pathology"], (*BINARY, *TUMOR_LABELS) if self.labels else BINARY)
        if self.condition == "regions":
            case["regions"] = np.where(brain, self._regions(case["pathology"]), 0).astype(np.uint8)
        inside = pathology & brain
        if not inside.any():
            raise InputError(
                f"{case['pathology']}: lies outside the brain (0 of {int(pathology.sum())} voxels inside the brain "
                f"mask); check that both masks belong to {scan.path}."
            )
        outside = 1 - inside.sum() / pathology.sum()
        if outside > 0:
            warnings.append(f"{outside:.1%} of the pathology mask lies outside the brain and was cut off.")
        if case.get("region_file"):
            case["region_file"] = _mask_on(scan, case["region_file"]) & brain
        return case | {
            "scan": scan,
            "brain": brain,
            "brain_source": source,
            "pathology": inside,
            "warnings": warnings,
        }

    def _regions(self, path: str) -> np.ndarray:
        volume = read_volume(path)
        if set(np.unique(volume.data).tolist()) in ({0, 1}, {0, 255}):
            raise InputError(
                f"{path}: holds one label only, but --condition regions wants 1 (necrotic core), 2 (edema) and 3 or 4 "
                f"(enhancing rim); use --condition mask."
            )
        return label_mask(volume)


def _mask_on(scan: Volume, path: str, accepted: tuple[tuple[int, ...], ...] = BINARY) -> np.ndarray:
    volume = read_volume(path)
    require_same_grid(volume, scan)
    return binary_mask(volume, accepted)

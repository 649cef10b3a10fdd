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
from mededit_monai.transforms.nifti import Volume, binary_mask, read_volume, require_same_grid


class LoadCased(Transform):
    """
    Read a case to edit and check everything about it before anything is computed.

    Input keys: ``scan``, ``pathology`` and perhaps ``brain``, ``region_file``: paths. Output: ``scan`` becomes a
    :class:`~mededit_monai.transforms.nifti.Volume`, ``pathology``, ``brain`` and ``region_file`` bool arrays on its
    grid (XxYxZ, RAS); ``brain_source`` says where the brain mask came from and ``warnings`` collects sentences.

    Raises:
        InputError: for anything that cannot be edited; see ``read_volume``, ``binary_mask``, ``brain_from_background``.
    """

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
        pathology = _mask_on(scan, case["pathology"])
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


def _mask_on(scan: Volume, path: str) -> np.ndarray:
    volume = read_volume(path)
    require_same_grid(volume, scan)
    return binary_mask(volume)

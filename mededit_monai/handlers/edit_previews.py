# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of an edited case: three planes of the scan itself, or what there is on the model's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mededit_monai.handlers.edited_case import EditedCase
from mededit_monai.handlers.effects_files import Moved
from mededit_monai.io.nifti import NativeCopy
from mededit_monai.prepare.native import Native
from mededit_monai.reports.preview import Plane, lesion_planes, save_preview
from mededit_monai.space.native_flow import NativeFlow


def save_volume_preview(
    folder: Path, edited: EditedCase, copy: NativeCopy, region: np.ndarray, flow: NativeFlow | None
) -> None:
    """The three planes with the most lesion, of the scan itself and its edited copy."""
    case = edited.case
    native, ceiling = Native.of(case), case["ceilings"][0]
    scan, lesion = native.scan, native.lesion
    place, planes = lesion_planes(lesion), []
    for axis in (2, 1, 0):
        at = tuple(place[axis] if k == axis else slice(None) for k in range(3))
        sides = [side for k, side in enumerate(scan.spacing) if k != axis]
        planes.append(
            Plane(
                np.clip(scan.data[at] / ceiling, 0, 1),
                np.clip(copy.values(at) / ceiling, 0, 1),
                lesion[at],
                region[at],
                None if flow is None else _lengths(flow, axis, place[axis]),
                (sides[0], sides[1]),
            )
        )
    method = case["request"]["options"].get("method", "")
    title = f"{case['case_id']}  planes {' '.join(map(str, place))}  {method}"
    save_preview(planes, folder / "preview.png", title)


def _lengths(flow: NativeFlow, axis: int, index: int) -> np.ndarray:
    """|u| in mm in a plane of the scan."""
    found = np.zeros([count for k, count in enumerate(flow.shape) if k != axis], np.float32)
    here = index - flow.start[axis]
    if 0 <= here < flow.steps.shape[axis + 1]:
        part = flow.steps.take(here, axis + 1)
        millimetres = np.tensordot(flow.affine[:3, :3].astype(np.float32), part, axes=1)
        sides = tuple(side for k, side in enumerate(flow.box) if k != axis)
        found[sides] = np.sqrt((millimetres**2).sum(axis=0))
    return found


def save_model_preview(
    folder: Path, edited: EditedCase, edit: np.ndarray, region: np.ndarray, note: str, moved: Moved | None = None
) -> None:
    """On the model's grid: the axial plane with the most lesion, of volumes all three."""
    case, space = edited.case, edited.case["space"]
    stacks = [edited.prior, edit, edited.pathology, region, *([moved.lengths_mm] if moved else [])]
    method = case["request"]["options"].get("method", "")
    if space.spatial_dims == 3:
        place = lesion_planes(edited.pathology[0])
        planes = [Plane(*(stack[0].take(place[axis], axis) for stack in stacks)) for axis in (2, 1, 0)]
        title = f"{case['case_id']}  planes {' '.join(map(str, place))} of the model  {method}  {note}"
    else:
        shown = int(edited.pathology.sum(axis=(1, 2)).argmax())
        planes = [Plane(*(stack[shown] for stack in stacks))]
        title = f"{case['case_id']}  slice {int(np.rint(space.heights[shown]))}  {method}  {note}"
    save_preview(planes, folder / "preview.png", title)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the displacement of an edit leaves in its folder: fields, images taken along, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import write_json
from mededit_monai.io.displacement import write_displacement
from mededit_monai.io.nifti import Volume
from mededit_monai.io.outputs import make_folder
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.metrics.indirect import brain_midline
from mededit_monai.prepare.native import Native
from mededit_monai.space.carry import Carried, carried_copy, label_sizes, lesion_on
from mededit_monai.space.flow import exponentiate
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import GRAIN_MM, NativeFlow, native_flow
from mededit_monai.space.stack import CaseStack

#: What an ``Edit`` with a displacement has among its extras, tensors and lists of numbers, a row each.
TENSORS, NUMBERS = ("displacement", "inverse", "velocity", "displaced", "painted"), ("strength", "spread")

#: The midline's shift is the largest motion across it of tissue so near to the mid-sagittal plane, in mm.
MIDLINE_MM = 1.0

#: How often the range in which the largest strength without folds lies is halved.
HALVINGS = 6


@dataclass(frozen=True)
class Moved:
    """
    What moved in one edit of a case, on the model's grid.

    Args:
        displacement, inverse, velocity: mm along the model's axes, rows x n x ``space.shape``; the velocity at strength
            1.
        displaced: the scan that was painted on, in [0, 1], rows x ``space.shape``.
        painted: bool, where the edit may differ from it.
        strength, spread: s, and σ of its logarithm in different people.
    """

    displacement: np.ndarray
    inverse: np.ndarray
    velocity: np.ndarray
    displaced: np.ndarray
    painted: np.ndarray
    strength: float
    spread: float

    @property
    def lengths_mm(self) -> np.ndarray:
        """|u|, rows x ``space.shape``."""
        return np.sqrt((self.displacement**2).sum(axis=1))

    @classmethod
    def of(cls, extras: Mapping[str, Any], stack: CaseStack) -> list[list[Moved]] | None:
        """What an edit's extras say, case by case and sample by sample; None if nothing was to move."""
        if "displacement" not in extras:
            return None
        arrays = {name: stack.of_samples(extras[name].detach().float().cpu().numpy()) for name in TENSORS}
        arrays["displaced"] = [to_unit_range(part[:, :, 0]) for part in arrays["displaced"]]
        arrays["painted"] = [part[:, :, 0] > 0 for part in arrays["painted"]]
        numbers = {name: stack.of_samples(np.asarray(extras[name], dtype=np.float64)) for name in NUMBERS}
        return [
            [
                cls(
                    **{name: arrays[name][case][sample] for name in TENSORS},
                    **{name: float(numbers[name][case][sample][0]) for name in NUMBERS},
                )
                for sample in range(stack.samples)
            ]
            for case in range(len(stack.counts))
        ]

    def on_scan(
        self, space: ModelSpace, native: Native, shape: tuple[int, int, int], name: str, flow: NativeFlow | None = None
    ) -> NativeFlow:
        """
        The displacement on the scan's grid.

        Args:
            native: the scan; shape: of what the model was shown of it, XxYxZ RAS; name: of the case, for the sentence.
            flow: the displacement there, if it has been worked out.

        Raises:
            InputError: it folds there; says the largest strength that does not.
        """
        flow = native.flow(flow or native_flow(space, self.displacement, shape))
        smallest = flow.smallest_jacobian
        if smallest > 0:
            return flow
        largest = self._largest_strength(space, native, shape)
        raise InputError(
            f"{name}: the displacement of strength {self.strength:.3g} folds tissue (smallest Jacobian {smallest:.2g} "
            f"on the scan's voxels, wanted one above 0); the largest strength that does not is {largest:.3g}, so give "
            f"a smaller --effects (with --samples, the strength is that times what the sample drew)."
        )

    def _largest_strength(self, space: ModelSpace, native: Native, shape: tuple[int, int, int]) -> float:
        """Between 0 and the edit's own, by halving; below it nothing folds."""
        low, high = 0.0, self.strength
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            steps = [exponentiate(row * (middle / space.pixel_mm)) * space.pixel_mm for row in self.velocity]
            folds = native.flow(native_flow(space, np.stack(steps), shape)).smallest_jacobian <= 0
            low, high = (low, middle) if folds else (middle, high)
        return low


def write_effects(
    folder: Path, case: Mapping[str, Any], moved: Moved, flow: NativeFlow, write: Callable[..., None]
) -> None:
    """
    Write ``displacement.nii.gz`` and ``inverse_displacement.nii.gz`` on the scan's grid, ``carried/<name>``,
    ``effects.json``.

    Args:
        case: what its transforms made of it.
        flow: the displacement on the scan's grid.
        write: of :func:`~mededit_monai.io.atomic.written_aside`.
    """
    space, native = case["space"], Native.of(case)
    scan, brain, lesion = native.scan, native.brain, native.lesion
    write(_write_field, folder / "displacement.nii.gz", flow, scan)
    inverse = flow.inverse(native.flow(native_flow(space, moved.inverse, case["brain_volume"].shape)))
    write(_write_field, folder / "inverse_displacement.nii.gz", inverse, scan)
    if space.spatial_dims == 2:  # the counterfactual has its lesion in these slices alone
        lesion = np.where(np.isin(np.arange(lesion.shape[2]), case["slices"]), lesion, False)
    label = case["request"]["options"].get("lesion_label")
    carried = {one.name: _carry(folder, one, flow, lesion, label, write) for one in case.get("carried", ())}
    slices = np.asarray(case["slices"]) if space.spatial_dims == 2 else np.arange(brain.shape[2])
    content = {
        "synthetic": True,
        "note": DISCLAIMER,
        "strength": moved.strength,
        "spread_of_log_strength": moved.spread,
        "largest_displacement_mm": flow.largest_mm,
        "smallest_jacobian": flow.smallest_jacobian,
        "midline_shift_mm": midline_shift_mm(flow, brain),
        "unmoved_share_of_brain": unmoved_share(flow, brain, slices),
        "carried": carried,
        "how": HOW,
    }
    write_json(folder / "effects.json", content, indent=2)


HOW = {
    "displacement": "out(r) = in(r + u(r)), on the scan's own voxels; strength 0 moves nothing, 1 is expected",
    "midline_shift_mm": f"largest left-right component of u in the brain within {MIDLINE_MM:g} mm of its middle plane",
    "unmoved_share_of_brain": "voxels with u = 0, which keep their bytes; of edited slices their brain alone",
    "labels": "each label was carried as a map of its own, linearly, and its shares were added up; the written label "
    "maps have the nearest label instead",
    "outside_lesion": "under the lesion, as given, there is no structure; it is left out before and after",
}


def midline_shift_mm(flow: NativeFlow, brain: np.ndarray) -> float:
    """
    Largest left-right component of a displacement beside the brain's middle plane.

    Args:
        brain: bool on the flow's grid, whose first axis runs from left to right. The plane is half-way between left and
            right end of its rows (:func:`~mededit_monai.metrics.indirect.brain_midline`).
    """
    width = float(np.linalg.norm(flow.affine[:3, 0]))
    rows = brain.any(axis=0)
    middle = brain_midline(brain[:, rows.any(axis=1)][:, :, rows.any(axis=0)])
    near = np.abs(np.arange(brain.shape[0]) - middle) * width <= max(MIDLINE_MM, width / 2)
    across = np.abs(flow.steps[0]) * (brain[flow.box] & near[flow.box[0], None, None])
    return float(across.max(initial=0.0)) * width


def unmoved_share(flow: NativeFlow, brain: np.ndarray, slices: np.ndarray) -> float:
    """Share of the brain (in axial slices) that a displacement leaves where it is."""
    moving = int(np.count_nonzero(flow.moved & brain[flow.box]))
    return 1 - moving / int(np.count_nonzero(brain[:, :, slices]))


def _carry(
    folder: Path,
    one: Carried,
    flow: NativeFlow,
    lesion: np.ndarray,
    label: int | None,
    write: Callable[..., None],
) -> dict[str, str | dict[str, dict[str, float]]]:
    """Write the copy of a file that moves along; says how, and the sizes of its labels."""
    mine, place = flow.on(one.volume.affine, one.shape), lesion_on(one, lesion, flow.affine)
    make_folder(folder / "carried")
    write(carried_copy(one, mine, place, label).save, folder / "carried" / one.name)
    if one.coded is None:
        return {"interpolation": "linear"}
    sizes = {
        str(value): {f"{name}_ml": round(ml, 6) for name, ml in asdict(size).items()}
        for value, size in label_sizes(one, mine, place).items()
    }
    return {"interpolation": "nearest", "labels": sizes}


def _write_field(path: Path, flow: NativeFlow, scan: Volume) -> None:
    """A displacement in the order in which the scan's own voxels are stored."""
    turn = io_orientation(scan.native_affine)
    axes, mirrored = turn[:, 0].astype(int), turn[:, 1] < 0
    field = flow.millimetres
    field *= np.float32(1 / GRAIN_MM)
    np.rint(field, out=field)
    field *= np.float32(GRAIN_MM)
    field = np.flip(field.transpose(0, *(axes + 1)), tuple(np.flatnonzero(mirrored) + 1))
    ends = [(flow.start[k], flow.shape[k] - flow.start[k] - flow.steps.shape[k + 1]) for k in axes]
    start = tuple(end[int(back)] for end, back in zip(ends, mirrored))
    write_displacement(path, field, scan.native_affine, shape=scan.native_shape, start=start)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a raw head needs before a model sees it: an even brightness, and to lie upright."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from monai.transforms import Transform

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.bias import bias_field
from mededit_monai.prepare.native import Native
from mededit_monai.prepare.plausible import WHOLE_BRAIN_MM, is_whole_brain
from mededit_monai.prepare.register import Registration, registered
from mededit_monai.prepare.upright import Upright

#: A head that is turned by more degrees from the scan's axes is set upright. The simulator turns them by up to 9.
LEVEL_DEGREES = 10.0

#: A bias field that makes the brightest part of the brain so many times as bright as the darkest is unusual.
LARGEST_GAIN = 3.0


@dataclass(frozen=True, eq=False)
class Preparation:
    """
    What was found out about a scan.

    Args:
        scan: as stored; even: without its bias field.
        brain: bool, XxYxZ RAS; brain_source: ``file``, ``background`` or ``network``.
        gain: of the bias field, XxYxZ float32.
        registration: of the ICBM 152 template.
    """

    scan: Volume
    even: Volume
    brain: np.ndarray
    brain_source: str
    gain: np.ndarray
    registration: Registration

    @classmethod
    def of(cls, scan: Volume, brain: np.ndarray, brain_source: str) -> Preparation:
        """
        Find it out.

        Raises:
            InputError: the scan is a slab, or does not match the template.
        """
        if not is_whole_brain(scan):
            high = scan.data.shape[2] * scan.spacing[2]
            raise InputError(
                f"{scan.path}: is {high:.0f} mm high, but --prepare wants a whole head ({WHOLE_BRAIN_MM:.0f} mm or "
                f"more); give --no_prepare."
            )
        gain = bias_field(scan.data, brain, scan.affine)
        even = replace(scan, data=(scan.data / gain).astype(np.float32))
        return cls(scan, even, brain, brain_source, gain, registered(even, brain))

    @property
    def gain_range(self) -> tuple[float, float]:
        """The first and the last hundredth of the gains in the brain."""
        low, high = np.percentile(self.gain[self.brain], [1, 99])
        return float(low), float(high)

    @property
    def warnings(self) -> list[str]:
        """What is doubtful."""
        low, high = self.gain_range
        found = list(self.registration.warnings)
        if high / low > LARGEST_GAIN:
            found.append(
                f"the scan's brightness varies by a factor of {high / low:.1f} over the brain; look at the picture of "
                f"the preparation."
            )
        return found

    def facts(self) -> dict[str, Any]:
        """Its figures, for JSON."""
        millilitres = float(self.brain.sum()) * self.scan.voxel_ml
        return {
            "brain_source": self.brain_source,
            "brain_ml": round(millilitres, 1),
            "bias_gain": [round(one, 4) for one in self.gain_range],
            **self.registration.facts(),
        }


class PrepareCased(Transform):
    """
    Show the model an even, upright head where that is wanted.

    Input: a case of :class:`~mededit_monai.prepare.load.LoadCased`. Its ``scan``, ``brain``, ``pathology``, ``regions``
    and ``region_file`` become those of what the model is shown; ``native`` is the
    :class:`~mededit_monai.prepare.native.Native` scan, ``preparation`` what was found out (``known_preparation`` is
    that, where somebody needed it before).

    Args:
        prepare: None prepares the scans whose brain a network had to find.
        spatial_dims: slices are edited as they lie; only volumes are set upright.

    Raises:
        InputError: see :meth:`Preparation.of`.
    """

    def __init__(self, prepare: bool | None = None, spatial_dims: int = 3) -> None:
        self.prepare, self.spatial_dims = prepare, spatial_dims

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        found = case.pop("known_preparation", None)
        if not (case["brain_source"] == "network" if self.prepare is None else self.prepare):
            return case
        found = found or Preparation.of(case["scan"], case["brain"], case["brain_source"])
        native = Native(
            found.scan, found.brain, case["pathology"], found.gain, found.even.data, regions=case.get("regions")
        )
        warnings = [*case["warnings"], *found.warnings]
        case |= {"scan": found.even, "preparation": found}
        tilt = found.registration.tilt_degrees
        if tilt > LEVEL_DEGREES and self.spatial_dims == 3:
            upright = Upright(found.even, found.brain, found.registration.pose)
            case["scan"] = shown = upright.volume(found.even.data)
            masks = [key for key in ("brain", "pathology", "region_file") if isinstance(case.get(key), np.ndarray)]
            case |= {key: upright.mask(case[key]) for key in masks}
            if "regions" in case:
                case["regions"] = upright.labels(case["regions"])
            native = replace(native, upright=shown)
        elif tilt > LEVEL_DEGREES:
            warnings.append(
                f"the head is turned by {tilt:.0f}° from the scan's axes, and its slices are edited as they lie, which "
                f"the model does not know; --spatial_dims 3 sets it upright."
            )
        return case | {"native": native, "warnings": warnings}

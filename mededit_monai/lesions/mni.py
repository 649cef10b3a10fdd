# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where MNI space (ICBM 152) lies in a scan: the identity where the scan shows that it is there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.register import template_image
from mededit_monai.space.shapes import around, box_affine

if TYPE_CHECKING:
    from mededit_monai.prepare.preparation import Preparation

#: Points at which a scan is compared with the template: MNI mm, so many mm apart, smoothed to that.
EXTENT, STEP_MM = ((-76, 77), (-112, 81), (-60, 89)), 4

#: A scan whose T1 correlates with the template's by this much is in MNI space; one that is moved by 4 mm or turned by
#: 6° does not.
ALIKE = 0.9


@dataclass(frozen=True, eq=False)
class MniSpace:
    """
    Args:
        to_scan: MNI mm → world mm of the scan, both RAS, 4x4.
        how: ``already there`` or ``registered``.
        warnings: what is doubtful about it.
        preparation: what was found out about the scan on the way, if it was registered.
    """

    to_scan: np.ndarray
    how: str
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None

    def from_scan(self, points: np.ndarray) -> np.ndarray:
        """World mm of the scan, ...x3, as MNI mm."""
        back = np.linalg.inv(self.to_scan)
        found: np.ndarray = np.asarray(points) @ back[:3, :3].T + back[:3, 3]
        return found


def mni_space(scan: Volume, brain: np.ndarray, source: str = "file") -> MniSpace:
    """
    MNI space of a scan; registered unless the scan is there already.

    Args:
        scan: T1; brain: bool, XxYxZ RAS; source: where that came from, for the preparation.

    Raises:
        InputError: the registration failed, or the scan is a slab.
    """
    if likeness(scan, brain) >= ALIKE:
        return MniSpace(np.eye(4), "already there")
    from mededit_monai.prepare.preparation import Preparation  # ITK takes seconds to import

    found = Preparation.of(scan, brain, source)
    return MniSpace(found.registration.template_to_scan, "registered", tuple(found.registration.warnings), found)


def likeness(scan: Volume, brain: np.ndarray) -> float:
    """Correlation of a scan with the ICBM 152 T1 at the same mm, where both show brain; 0 if they hardly overlap."""
    points = np.stack(np.meshgrid(*(np.arange(*ends, STEP_MM) for ends in EXTENT), indexing="ij")).reshape(3, -1)
    template = _at(*template_image(), points)
    top = float(np.percentile(scan.data[brain], 99))
    reach = int(np.ceil(2 * STEP_MM / min(scan.spacing)))  # as far as it is smoothed
    box = around(brain, reach)
    values = _at(np.where(brain[box], np.clip(scan.data[box], 0, top), 0), box_affine(scan.affine, box), points)
    inside = (template > 0.05 * template.max()) & (values > 0.05 * max(top, 1e-6))
    if inside.mean() < 0.1 or not np.ptp(values[inside]):
        return 0.0
    return float(np.corrcoef(template[inside], values[inside])[0, 1])


def _at(image: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image smoothed to ``STEP_MM`` at world mm, 3xN."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(image.astype(np.float32), STEP_MM / 2 / spacing)
    back = np.linalg.inv(affine)
    found: np.ndarray = ndimage.map_coordinates(smooth, back[:3, :3] @ points + back[:3, 3:], np.float32, 1)
    return found

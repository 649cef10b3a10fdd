# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the slices of an edited volume go together: steps from one to the next, against the truth's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mededit_monai.metrics.case_metric import Case, CaseMetric


def slice_step(image: np.ndarray, pathology: np.ndarray) -> float:
    """
    Mean absolute difference between neighbouring axial slices inside p: where both voxels lie in the lesion.

    A volume that was painted slice by slice flickers: its steps are larger than the truth's, while those within a slice
    are not. Blind spot: a lesion that is too smooth in every direction steps less than the truth.

    Args:
        image: HxWxD in [0, 1]; pathology: binary, HxWxD.

    Returns:
        in the image's unit; nan for a lesion of one slice.
    """
    inside = np.asarray(pathology) > 0
    both = inside[..., 1:] & inside[..., :-1]
    if not both.any():
        return float("nan")
    values = np.asarray(image, dtype=np.float32)
    return float(np.abs(values[..., 1:] - values[..., :-1])[both].mean(dtype=np.float64))


class SliceStepMetric(CaseMetric):
    """:func:`slice_step` of a volume's edit and of the truth (``image``)."""

    columns = ("edit", "truth")
    needs = ("image", "pathology")

    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        """Of volumes; nan of slices."""
        if edit.ndim != 3:
            return [float("nan")] * 2
        return [slice_step(edit, case["pathology"]), slice_step(case["image"], case["pathology"])]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The scanner's bias field: N4 (Tustison et al., IEEE TMI 2010), by ITK."""

from __future__ import annotations

import numpy as np

from mededit_monai.prepare.itk_image import BrainImage, to_itk

#: The field is smooth: it is fitted on points so far apart in mm, over so many iterations a level of its spline.
FIT_MM, ITERATIONS = 4.0, (40, 30, 20)


def bias_field(data: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """
    By how much the scanner made each voxel brighter.

    Args:
        data: XxYxZ RAS, intensities from 0 on; brain: bool, the same shape, not empty; affine: voxel → world mm.

    Returns:
        gain, XxYxZ float32, positive, of geometric mean 1 in the brain; dividing by it evens the scan out. Outside the
        brain it is 1.
    """
    import SimpleITK as sitk

    whole = BrainImage(np.where(brain, np.maximum(data, 0), 0).astype(np.float32), affine)
    coarse, inside = whole.coarser(FIT_MM), BrainImage(brain.astype(np.float32), affine).coarser(FIT_MM)
    mask = inside.data > 0.95  # beside the brain its edge was averaged with nothing
    if mask.sum() < 64 or not coarse.data[mask].any():
        return np.ones(data.shape, np.float32)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)  # sums of several threads differ from run to run
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    image, where = to_itk(coarse), sitk.Cast(to_itk(BrainImage(mask.astype(np.float32), coarse.affine)), sitk.sitkUInt8)
    n4.Execute(image, where)
    logarithm = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T
    logarithm = logarithm - logarithm[mask].mean()
    gain = np.ones(data.shape, np.float32)
    places = np.argwhere(brain)
    field = BrainImage(logarithm.astype(np.float32), coarse.affine)
    for part in np.array_split(places, max(1, len(places) // 2**18)):
        world = affine[:3, :3] @ part.T + affine[:3, 3:]
        gain[tuple(part.T)] = np.exp(field.at(world, "nearest"))
    return gain

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where tissue grew or shrank: the log-Jacobian of a registration prior → counterfactual."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mededit_monai.metrics.arrays import Spacing, mean_over, same_shape, spacing_of, to_array, to_mask

#: Coarse to fine: shrink factor and iterations.
PYRAMID = ((4, 100), (2, 80), (1, 50))

#: A determinant below this is cut to it: the logarithm of a fold is not finite.
SMALLEST_DETERMINANT = 0.02


def register(
    prior: np.ndarray,
    edit: np.ndarray,
    spacing: Spacing,
    ignore: np.ndarray | None = None,
    smoothing_mm: float = 2.0,
) -> np.ndarray:
    """
    Displacement of a multi-resolution diffeomorphic demons registration (Vercauteren et al., NeuroImage 2009; ITK).

    Args:
        prior, edit: HxW[xD] in [0, 1], at least 16 voxels along each axis.
        spacing: mm.
        ignore: mask of what has no counterpart in the prior (the lesion): there the edit is filled with the prior's
            values, so that the lesion's darkness pulls nothing.
        smoothing_mm: Gaussian of the field's regularisation; larger: smoother fields and smaller, broader changes.

    Returns:
        u, nxHxW[xD] in mm on the prior's grid: the edit at r + u(r) shows the prior at r. One thread and a fixed
        schedule: the same numbers in every run.

    Raises:
        ValueError: shapes that differ, or images that are too small.
    """
    prior, edit = to_array(prior, "the prior scan"), to_array(edit, "the edit")
    same_shape(edit, prior, "the edit")
    steps = spacing_of(spacing, prior.ndim)
    if min(prior.shape) < 16:
        raise ValueError(f"the images have shape {prior.shape}; wanted at least 16 voxels along each axis.")
    if smoothing_mm <= 0:
        raise ValueError(f"the smoothing is {smoothing_mm}; wanted a positive number of mm.")
    if ignore is not None:
        edit = np.where(to_mask(ignore, prior, "the ignored mask"), prior, edit)
    import SimpleITK as sitk  # half a second

    fixed, moving = _image(prior, steps), _image(edit, steps)
    field = None
    for shrink, iterations in PYRAMID:
        small = [_shrunk(image, shrink, steps) for image in (fixed, moving)]
        if field is None:
            field = sitk.Image(small[0].GetSize(), sitk.sitkVectorFloat64)
            field.CopyInformation(small[0])
        else:
            field = sitk.Resample(field, small[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID())
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfThreads(1)
        demons.SetNumberOfIterations(iterations)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations([smoothing_mm / s for s in steps])  # voxels of every level
        field = demons.Execute(*small, field)
    return np.moveaxis(sitk.GetArrayFromImage(field), -1, 0).transpose(0, *range(prior.ndim, 0, -1)).copy()


def _image(array: np.ndarray, steps: tuple[float, ...]):
    import SimpleITK as sitk  # half a second

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T.astype(np.float32)))  # ITK's first axis is the fastest
    image.SetSpacing(steps)
    return image


def _shrunk(image, shrink: int, steps: tuple[float, ...]):
    import SimpleITK as sitk  # half a second

    smooth = sitk.SmoothingRecursiveGaussian(image, [0.5 * shrink * s for s in steps])
    return sitk.Shrink(smooth, [shrink] * len(steps)) if shrink > 1 else smooth


def log_jacobian(displacement: np.ndarray, spacing: Spacing) -> np.ndarray:
    """
    Natural logarithm of the local change of area (volume) under r → r + u(r), by central differences.

        ln det (I + ∂u_i / ∂r_j)          (tensor-based morphometry: Ashburner & Friston, 2000)

    Args:
        displacement: u, nxHxW[xD] with n = number of axes, mm; further components (of a slice) are ignored.
        spacing: mm.

    Returns:
        HxW[xD]; 0: unchanged, ln 2: twice the area, negative: shrunk. Determinants below 0.02, folds among them, are
        cut to that.
    """
    field = np.asarray(displacement, dtype=np.float64)
    ndim = field.ndim - 1
    if ndim not in (2, 3) or len(field) < ndim:
        raise ValueError(f"the displacement has shape {field.shape}; wanted 2xHxW or 3xHxWxD.")
    steps = spacing_of(spacing, ndim)
    rows = [np.stack(np.gradient(field[i], *steps)) for i in range(ndim)]
    matrix = np.stack(rows) + np.eye(ndim).reshape(ndim, ndim, *[1] * ndim)
    return np.log(np.maximum(np.linalg.det(np.moveaxis(matrix, (0, 1), (-2, -1))), SMALLEST_DETERMINANT))


def edit_log_jacobian(
    prior: np.ndarray, edit: np.ndarray, pathology: np.ndarray, spacing: Spacing, margin_mm: float = 3.0
) -> np.ndarray:
    """
    Log-Jacobian map of prior → edit on the prior's grid: a ventricle that grew is positive where it was.

    The lesion and a margin around it are filled before registering (see :func:`register`), and say nothing.

    Args:
        prior, edit: HxW[xD] in [0, 1]; pathology: mask; spacing, margin_mm: mm.
    """
    prior = to_array(prior, "the prior scan")
    lesion = to_mask(pathology, prior, "the pathology mask")
    if lesion.any():
        lesion = ndimage.distance_transform_edt(~lesion, sampling=spacing_of(spacing, prior.ndim)) <= margin_mm
    return log_jacobian(register(prior, edit, spacing, lesion), spacing)


def ventricle_growth(
    prior: np.ndarray, edit: np.ndarray, pathology: np.ndarray, prior_ventricles: np.ndarray, spacing: Spacing
) -> tuple[float, float]:
    """
    Mean log-Jacobian over the prior's left and right ventricle: growth measured without a judge's segmentation.

    Args:
        prior_ventricles: labels 1 left, 2 right; the others as for :func:`edit_log_jacobian`.

    Returns:
        left and right; NaN for a side that the prior does not show. On simulated strokes the
        registration finds three quarters of the true value, on tumours a quarter (docs/concepts/metrics.md).
    """
    grown = edit_log_jacobian(prior, edit, pathology, spacing)
    labels = to_array(prior_ventricles, "the prior's ventricles")
    same_shape(labels, grown, "the prior's ventricles")
    return mean_over(grown, labels == 1), mean_over(grown, labels == 2)

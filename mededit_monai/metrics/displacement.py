# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What can be said of a displacement itself, with its truth beside it and without; no judge looks at an image.

All are pull-backs u in mm along the axes, out(r) = in(r + u(r)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mededit_monai.metrics.arrays import Spacing, mean_over, spacing_of, to_array, to_mask
from mededit_monai.metrics.carried import in_steps
from mededit_monai.space.flow import jacobian, warp
from mededit_monai.space.native_flow import NativeFlow

#: |u_true| in mm from where on tissue counts as moved. Velocities fade to exactly 0 between 0.12 and 0.04 pixel (see
#: :func:`mededit_monai.space.fields.taper`), that is below 0.22 mm; from here on nothing is faded.
MOVED_MM = 0.25

#: Farther than this from p, in mm, a lesion moves nothing but with ``--global_atrophy``.
FAR_MM = 60.0


@dataclass(frozen=True)
class EndPointError:
    """
    Mean |u − u_true| in moved tissue (b∖p, |u_true| > 0.25 mm), and mean |u_true| there, the error of no displacement;
    mm, NaN where nothing moves. moved: its share of b∖p.
    """

    error: float
    idle: float
    moved: float


def moved_tissue(true: np.ndarray, pathology: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """
    Brain outside p that moves by more than ``MOVED_MM`` in truth; bool.

    Args:
        true: displacement in mm, nxHxW[xD]; pathology, brain: masks. Under the lesion there is no tissue to be moved.
    """
    inside = to_array(brain, "the brain mask") > 0
    lesion = to_mask(pathology, inside, "the pathology mask")
    return inside & ~lesion & (length(true) > MOVED_MM)


def length(displacement: np.ndarray) -> np.ndarray:
    """|u| of nxHxW[xD], HxW[xD]."""
    return np.sqrt((np.asarray(displacement, dtype=np.float64) ** 2).sum(axis=0))


def end_point_error(
    displacement: np.ndarray, true: np.ndarray, pathology: np.ndarray, brain: np.ndarray
) -> EndPointError:
    """
    Distance of where tissue is taken from to where it truly comes from, in moved tissue.

    Args:
        displacement, true: u in mm, nxHxW[xD]; pathology, brain: masks HxW[xD].

    Raises:
        ValueError: shapes that differ.
    """
    found, wanted = (np.asarray(u, dtype=np.float64) for u in (displacement, true))
    if found.shape != wanted.shape:
        raise ValueError(f"the displacement has shape {found.shape}, wanted {wanted.shape} as its truth.")
    moved = moved_tissue(wanted, pathology, brain)
    free = (np.asarray(brain) > 0) & ~(np.asarray(pathology) > 0)
    share = float(moved.sum() / free.sum()) if free.any() else float("nan")
    return EndPointError(mean_over(length(found - wanted), moved), mean_over(length(wanted), moved), share)


def smallest_jacobian(displacement: np.ndarray, brain: np.ndarray, spacing: Spacing) -> float:
    """
    Smallest determinant of the Jacobian of r → r + u(r) within the brain, by central differences: 1 where nothing
    moves, at most 0 where the field folds. NaN for an empty brain.
    """
    inside = to_array(brain, "the brain mask") > 0
    return float(jacobian(in_steps(displacement, inside, spacing))[inside].min()) if inside.any() else float("nan")


def still_share(displacement: np.ndarray, brain: np.ndarray) -> float:
    """Share of the brain with u exactly 0, whose bytes are kept; NaN for an empty brain."""
    inside = to_array(brain, "the brain mask") > 0
    return mean_over((np.asarray(displacement) == 0).all(axis=0).astype(np.float64), inside)


def far_displacement(
    displacement: np.ndarray, pathology: np.ndarray, brain: np.ndarray, spacing: Spacing, far_mm: float = FAR_MM
) -> float:
    """Largest |u| in mm within the brain farther than ``far_mm`` from p; NaN without lesion or if nothing is so far."""
    inside = to_array(brain, "the brain mask") > 0
    lesion = to_mask(pathology, inside, "the pathology mask")
    if not lesion.any():
        return float("nan")
    away = ndimage.distance_transform_edt(~lesion, sampling=spacing_of(spacing, inside.ndim))
    far = inside & (away > far_mm)
    return float(length(displacement)[far].max()) if far.any() else float("nan")


def round_trip(displacement: np.ndarray, inverse: np.ndarray, brain: np.ndarray, spacing: Spacing) -> np.ndarray:
    """
    How far a point of the scan that was displaced and then pulled back by the inverse is from where it was:
    |x(r) + u(r + x(r))| in grid steps, x the inverse, within the brain.

    Args:
        displacement, inverse: u and x in mm, nxHxW[xD]; between grid points linear, as they are read.

    Returns:
        a number a voxel of the brain.
    """
    inside = to_array(brain, "the brain mask") > 0
    there, back = (in_steps(u, inside, spacing) for u in (displacement, inverse))
    return length(back + warp(there, back))[inside]


def written_inverse(displacement: np.ndarray, inverse: np.ndarray, spacing: Spacing) -> np.ndarray:
    """
    The inverse as an edit writes it: that of the flow, brought nearer by Newton's method to what undoes u as it is read
    (see :meth:`mededit_monai.space.native_flow.NativeFlow.inverse`).

    Args:
        displacement, inverse: u and the flow of -v in mm, nxHxW[xD].

    Returns:
        mm, nxHxW[xD].
    """
    shape = np.shape(displacement)[1:]
    steps = [in_steps(u, np.zeros(shape), spacing) for u in (displacement, inverse)]
    if len(shape) == 2:
        steps = [np.concatenate([u, np.zeros_like(u[:1])])[..., None] for u in steps]
    grid = (*shape, 1)[:3]
    flow, guess = (NativeFlow(u, (0, 0, 0), grid, np.eye(4), planar=len(shape) == 2) for u in steps)
    found = flow.inverse(guess).steps
    found = found if len(shape) == 3 else found[:2, ..., 0]
    return found * np.asarray(spacing_of(spacing, len(shape)), np.float32).reshape(-1, *[1] * len(shape))

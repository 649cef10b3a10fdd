# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Sizes of structures that a displacement takes along: indirect effects without a judge.

The prior's labels are carried by u as the scan is, each as a map of its own (1 in it, 0 elsewhere) and linearly, and
the shares are added up: no threshold, hence no steps of a voxel. p lies in the counterfactual's space and is left out
before and after, as in :mod:`mededit_monai.metrics.indirect`: what lies under the lesion is no structure any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mededit_monai.metrics.arrays import Spacing, spacing_of, to_array, to_labels, to_mask
from mededit_monai.metrics.indirect import LEFT, RIGHT
from mededit_monai.space.flow import warp


def in_steps(displacement: np.ndarray, like: np.ndarray, spacing: Spacing) -> np.ndarray:
    """
    A displacement in grid steps.

    Args:
        displacement: u in mm along the axes of ``like``, nxHxW[xD]; a third component of a slice is left out.
        like: HxW[xD], n axes.

    Returns:
        nxHxW[xD], float32; exactly 0 where u is.

    Raises:
        ValueError: another shape, or components that are not finite.
    """
    field = np.asarray(displacement, dtype=np.float32)
    if field.ndim != like.ndim + 1 or field.shape[1:] != like.shape or not like.ndim <= len(field) <= 3:
        raise ValueError(f"the displacement has shape {field.shape}; wanted {like.ndim} components on {like.shape}.")
    if not np.isfinite(field).all():
        raise ValueError("the displacement holds values that are not finite; nothing can be measured on it.")
    steps = np.asarray(spacing_of(spacing, like.ndim), dtype=np.float32)
    return field[: like.ndim] / steps.reshape(-1, *[1] * like.ndim)


def size_unit(spacing: Spacing, ndim: int) -> float:
    """Size of a voxel in the unit of sizes: mm² in 2-D, ml in 3-D."""
    return float(np.prod(spacing_of(spacing, ndim))) * (1e-3 if ndim == 3 else 1.0)


def carried_sizes(
    labels: np.ndarray,
    displacement: np.ndarray,
    pathology: np.ndarray,
    spacing: Spacing,
    wanted: Sequence[int] = (LEFT, RIGHT),
) -> np.ndarray:
    """
    Sizes of labelled structures before and after a displacement, outside p.

    Args:
        labels: whole numbers on the prior, HxW[xD]; displacement: u in mm along the axes, nxHxW[xD], out(r) = in(r +
            u(r)); pathology: p, binary; spacing: mm.
        wanted: labels that are measured; by default the left and the right lateral ventricle.

    Returns:
        Kx2: before and after of each label, mm² (2-D) or ml (3-D).

    Raises:
        ValueError: shapes that differ, values that are not finite.
    """
    labels = to_labels(labels, "the labels")
    free = ~to_mask(pathology, labels, "the pathology mask")
    steps = in_steps(displacement, labels, spacing)
    unit = size_unit(spacing, labels.ndim)
    sizes = []
    for label in wanted:  # one at a time: of a volume, each takes as much memory as the scan
        share = (labels == label).astype(np.float32)
        moved = warp(share[None], steps)[0]
        sizes.append([float(part[free].sum(dtype=np.float64)) * unit for part in (share, moved)])
    return np.array(sizes, dtype=np.float64).reshape(len(wanted), 2)


def carried_change(
    labels: np.ndarray,
    displacement: np.ndarray,
    pathology: np.ndarray,
    spacing: Spacing,
    wanted: Sequence[int] = (LEFT, RIGHT),
) -> np.ndarray:
    """After − before of :func:`carried_sizes`, a number a label; mm² (2-D) or ml (3-D)."""
    sizes = carried_sizes(labels, displacement, pathology, spacing, wanted)
    return sizes[:, 1] - sizes[:, 0]


def lesion_size(pathology: np.ndarray, spacing: Spacing) -> float:
    """Area (2-D, mm²) or volume (3-D, ml) of p."""
    lesion = to_array(pathology, "the pathology mask") > 0
    return float(lesion.sum()) * size_unit(spacing, lesion.ndim)

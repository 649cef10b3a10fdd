# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the lesion does to the rest of the brain: ventricles, midline, sulci, tissue.

Arrays are in RAS order: axis 0 runs from the patient's left to the right. Ventricle labels: 1 left, 2 right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.cluster.vq import kmeans

from mededit_monai.metrics.arrays import Spacing, ratio, same_shape, spacing_of, to_array, to_labels, to_mask

LEFT, RIGHT = 1, 2


def brain_midline(brain: np.ndarray) -> float:
    """
    Where the brain's two halves meet along axis 0, in voxels (as an index, voxel k covers k ± ½).

    The median over all rows of the middle between the row's first and last voxel, so that a bulge of one hemisphere
    (petalia) does not move it. A tilted head has no single midline; this is its middle.

    Raises:
        ValueError: an empty mask.
    """
    inside = to_array(brain, "the brain mask") > 0
    rows = inside.any(axis=0)
    if not rows.any():
        raise ValueError("the brain mask is empty; it has no midline.")
    first, last = inside.argmax(axis=0), inside.shape[0] - 1 - inside[::-1].argmax(axis=0)
    return float(np.median((first + last)[rows])) / 2


def lesion_side(pathology: np.ndarray, brain: np.ndarray) -> tuple[int, float]:
    """
    Hemisphere that holds most of the lesion, split at :func:`brain_midline`.

    Returns:
        1 left or 2 right (the labels of the ventricles), and the share of the lesion that lies there, 0.5 … 1: near 0.5
        the lesion is bilateral, and "its side" means little.

    Raises:
        ValueError: an empty mask.
    """
    brain = to_array(brain, "the brain mask")
    where = np.nonzero(to_mask(pathology, brain, "the pathology mask"))[0]
    if not where.size:
        raise ValueError("the pathology mask is empty; it lies on no side.")
    offset = where - brain_midline(brain)
    share = float((offset > 0).mean() + (offset == 0).mean() / 2)
    return (RIGHT, share) if share >= 0.5 else (LEFT, 1 - share)


def ventricle_sizes(labels: np.ndarray, spacing: Spacing) -> tuple[float, float]:
    """
    Area (2-D, mm²) or volume (3-D, mm³) of the left (label 1) and right (label 2) lateral ventricle.

    Raises:
        ValueError: other labels, naming them.
    """
    labels = to_labels(labels, "the ventricles")
    strange = sorted(set(np.unique(labels).tolist()) - {0, LEFT, RIGHT})
    if strange:
        raise ValueError(f"the ventricles hold the labels {strange}; wanted 0, 1 (left) and 2 (right).")
    voxel = float(np.prod(spacing_of(spacing, labels.ndim)))
    return float((labels == LEFT).sum() * voxel), float((labels == RIGHT).sum() * voxel)


@dataclass(frozen=True)
class VentricleChange:
    """
    Sizes in mm² or mm³. left, right, total: change. ipsilateral, contralateral: change on the lesion's side and on the
    other. asymmetry_before, asymmetry_after: (ipsi - contra) / (ipsi + contra) in -1 … 1, NaN without ventricles;
    asymmetry: its change, positive where the lesion's side gained (stroke), negative where it lost (tumour).
    """

    left: float
    right: float
    total: float
    ipsilateral: float
    contralateral: float
    asymmetry_before: float
    asymmetry_after: float
    asymmetry: float


def ventricle_change(
    before: np.ndarray, after: np.ndarray, pathology: np.ndarray, brain: np.ndarray, spacing: Spacing
) -> VentricleChange:
    """
    Change of the lateral ventricles, by hemisphere and toward or away from the lesion.

    Asymmetry as in morphometry of chronic stroke and ageing: difference over sum of the two sides.

    Args:
        before, after: label images of prior and edit, HxW[xD]; pathology: not empty, and brain: its mask.
        spacing: mm.

    Raises:
        ValueError: other labels, shapes that differ, an empty pathology or brain mask.
    """
    first = to_labels(before, "the prior's ventricles")
    same_shape(to_labels(after, "the edit's ventricles"), first, "the edit's ventricles")
    sizes = [ventricle_sizes(labels, spacing) for labels in (before, after)]
    same_shape(to_array(brain, "the brain mask"), first, "the brain mask")
    ipsi = lesion_side(pathology, brain)[0] - 1
    contra = 1 - ipsi
    index = [ratio(s[ipsi] - s[contra], s[ipsi] + s[contra]) for s in sizes]
    change = [sizes[1][k] - sizes[0][k] for k in (0, 1)]
    return VentricleChange(
        *change,
        total=sum(change),
        ipsilateral=change[ipsi],
        contralateral=change[contra],
        asymmetry_before=index[0],
        asymmetry_after=index[1],
        asymmetry=index[1] - index[0],
    )


@dataclass(frozen=True)
class MidlineShift:
    """
    In mm, positive toward the patient's right. largest: the row's shift with the largest size (what radiologists
    measure); mean: over all rows; rows: how many were measured.
    """

    largest: float
    mean: float
    rows: int


def midline_shift_from_field(
    displacement: np.ndarray, brain: np.ndarray, spacing: Spacing, midline: float | None = None
) -> MidlineShift:
    """
    How far a displacement moves the midsagittal line (plane).

    The edit at r shows the prior at r + u(r). In every row along axis 0 the midline lies where x + u_x(x) = x0; the
    shift is x - x0, by linear interpolation. Motion along the midline itself does not count.

    Args:
        displacement: u, nxHxW[xD] with n components in mm (a third one of a slice is ignored).
        brain: mask of the edit; rows whose x0 lies outside of it are left out.
        midline: x0 in voxels; None: :func:`brain_midline`.

    Returns:
        NaN in all numbers where no row meets the midline.

    Raises:
        ValueError: a field of another shape.
    """
    inside = to_array(brain, "the brain mask") > 0
    step = spacing_of(spacing, inside.ndim)[0]
    field = np.asarray(displacement, dtype=np.float64)
    if field.shape[1:] != inside.shape or len(field) < inside.ndim:
        raise ValueError(
            f"the displacement has shape {field.shape}; wanted {inside.ndim} components on {inside.shape}."
        )
    middle = brain_midline(inside) if midline is None else float(midline)
    points = np.arange(inside.shape[0], dtype=np.float64)
    source = points[:, None] + field[0].reshape(len(points), -1) / step
    rows = np.flatnonzero(inside[int(round(middle))].ravel())
    # A flow keeps the order of points; a field with folds is made to, so that there is one crossing.
    found = [np.interp(middle, np.maximum.accumulate(source[:, k]), points) - middle for k in rows]
    return _midline(np.array(found) * step)


def septum(labels: np.ndarray) -> dict[tuple[int, ...], float]:
    """
    Where the two lateral ventricles face each other: row (all indices but the first) → x in voxels.

    In each row with both ventricles: half way between the last voxel of the left and the first of the right one.
    """
    labels = to_labels(labels, "the ventricles")
    both, last, first = _facing(labels)
    return {tuple(row): float(last[tuple(row)] + first[tuple(row)]) / 2 for row in np.argwhere(both).tolist()}


def _facing(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By row: whether it has both ventricles, the left one's last voxel and the right one's first."""
    left, right = labels == LEFT, labels == RIGHT
    both = left.any(axis=0) & right.any(axis=0)
    return both, labels.shape[0] - 1 - left[::-1].argmax(axis=0), right.argmax(axis=0)


def midline_shift_from_ventricles(
    before: np.ndarray, after: np.ndarray, spacing: Spacing, max_gap_mm: float = 12.0
) -> MidlineShift:
    """
    Midline shift from the septum between the ventricles in two label images, row by row.

    Only rows in which the ventricles face each other in both images, at most ``max_gap_mm`` apart: farther apart (the
    posterior horns) nothing says where between them the midline runs. The resolution is half a voxel.

    Args:
        before, after: labels of prior and edit on one grid, HxW[xD]; spacing: mm.

    Returns:
        NaN in all numbers where no row qualifies.
    """
    first, second = to_labels(before, "the prior's ventricles"), to_labels(after, "the edit's ventricles")
    same_shape(second, first, "the edit's ventricles")
    step = spacing_of(spacing, first.ndim)[0]
    near, places = np.ones(first.shape[1:], bool), []
    for labels in (first, second):
        both, last_left, first_right = _facing(labels)
        near &= both & ((first_right - last_left - 1) * step <= max_gap_mm)
        places.append((last_left + first_right) / 2)
    return _midline((places[1] - places[0])[near] * step)


def _midline(shifts: np.ndarray) -> MidlineShift:
    if not shifts.size:
        return MidlineShift(float("nan"), float("nan"), 0)
    return MidlineShift(float(shifts[np.abs(shifts).argmax()]), float(shifts.mean()), len(shifts))


def tissue_means(image: np.ndarray, brain: np.ndarray) -> tuple[float, float, float]:
    """
    Mean intensity of fluid, gray and white matter of a T1-weighted scan: k-means with three classes, rising.

    Args:
        image: HxW[xD]; brain: mask with at least 30 voxels.

    Raises:
        ValueError: fewer voxels, or an image without three levels.
    """
    image = to_array(image, "the image")
    inside = image[to_mask(brain, image, "the brain mask")]
    if inside.size < 30:
        raise ValueError(f"the brain mask holds {inside.size} voxels; wanted at least 30 to find the tissues' means.")
    spread = np.quantile(inside, np.linspace(0.005, 0.995, 2000))  # the same work for a slice and a volume
    means = np.sort(kmeans(spread, np.quantile(spread, (0.04, 0.35, 0.8)), seed=0)[0])
    if len(np.unique(means)) < 3:
        raise ValueError(f"the image has the levels {means.tolist()} only; give the means of fluid, gray and white.")
    return tuple(float(m) for m in means)  # type: ignore[return-value]


@dataclass(frozen=True)
class FluidChange:
    """Sulcal fluid in mm² or mm³: before, after, change; change on the lesion's side and the other; band: its size."""

    before: float
    after: float
    change: float
    ipsilateral: float
    contralateral: float
    band: float


def surface_band(brain: np.ndarray, spacing: Spacing, depth_mm: float = 12.0) -> np.ndarray:
    """Voxels of the brain at most ``depth_mm`` below its surface; bool. The array's border counts as surface."""
    inside = np.pad(to_array(brain, "the brain mask") > 0, 1)
    depth = ndimage.distance_transform_edt(inside, sampling=spacing_of(spacing, inside.ndim))
    return (inside & (depth <= depth_mm))[(slice(1, -1),) * inside.ndim]


def sulcal_fluid_change(
    before: np.ndarray,
    after: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    spacing: Spacing,
    means: tuple[float, float, float] | None = None,
    depth_mm: float = 12.0,
    margin_mm: float = 3.0,
) -> FluidChange:
    """
    Fluid in a band under the brain's surface, before and after; p and a margin around it do not count.

    A voxel's share of fluid is linear between the tissues' means, clip((gray - I) / (gray - fluid), 0, 1): sulci are
    narrower than a model pixel, and counting voxels below the threshold in the middle (share ½) misses most of them.
    The means are the prior's for both images, so that the lesion cannot move them.

    Args:
        before, after: prior and edit in [0, 1], or maps of fluid (dtype bool), HxW[xD].
        pathology, brain: masks; spacing: mm.
        means: of fluid, gray and white matter; None: :func:`tissue_means` of the prior.
        depth_mm: of the band; margin_mm: around p, since a lesion's soft edge is dark too.

    Raises:
        ValueError: shapes that differ, empty masks, or means that do not rise.
    """
    prior = to_array(before, "the prior scan")
    edit = to_array(after, "the edit")
    same_shape(edit, prior, "the edit")
    inside = to_mask(brain, prior, "the brain mask")
    lesion = to_mask(pathology, prior, "the pathology mask")
    fluid = [prior, edit]
    if np.asarray(before).dtype != bool:
        dark, gray, white = tissue_means(prior, inside) if means is None else means
        if not dark < gray <= white:
            raise ValueError(f"the tissues' means are {(dark, gray, white)}; wanted fluid < gray ≤ white, as on T1.")
        fluid = [np.clip((gray - image) / (gray - dark), 0, 1) for image in (prior, edit)]
    steps = spacing_of(spacing, prior.ndim)
    own = _own_side(lesion, inside)
    counted = surface_band(inside, steps, depth_mm) & (
        ndimage.distance_transform_edt(~lesion, sampling=steps) > margin_mm
    )
    voxel = float(np.prod(steps))
    sizes = [float(f[counted].sum()) * voxel for f in fluid]
    ipsi = float((fluid[1] - fluid[0])[counted & own].sum()) * voxel
    change = sizes[1] - sizes[0]
    return FluidChange(*sizes, change, ipsi, change - ipsi, float(counted.sum()) * voxel)


@dataclass(frozen=True)
class TissueChange:
    """
    Change of judged tissue outside the lesion, mm² or mm³: fluid outside the lateral ventricles in all, on the lesion's
    side and on the other; gray and white matter.
    """

    fluid: float
    fluid_ipsilateral: float
    fluid_contralateral: float
    gray: float
    white: float


def tissue_change(
    before: np.ndarray,
    after: np.ndarray,
    pathology: np.ndarray,
    brain: np.ndarray,
    spacing: Spacing,
    margin_mm: float = 3.0,
) -> TissueChange:
    """
    Change of fluid, gray and white matter by two label images; p and a margin around it do not count in either.

    Counts pixels, so it needs a judge, and does not depend on the edit's brightness as :func:`sulcal_fluid_change`
    does; fluid in less than half of a pixel is not seen.

    Args:
        before, after: tissue of prior and edit, HxW[xD]: 1 fluid, 2 gray, 3 white matter, 0 anything else.
        pathology, brain: masks, not empty; spacing: mm.
        margin_mm: around p, since a lesion's soft edge is taken for fluid or gray matter.

    Raises:
        ValueError: other labels, shapes that differ, empty masks.
    """
    first, second = to_labels(before, "the prior's tissue"), to_labels(after, "the edit's tissue")
    same_shape(second, first, "the edit's tissue")
    strange = sorted((set(np.unique(first).tolist()) | set(np.unique(second).tolist())) - {0, 1, 2, 3})
    if strange:
        raise ValueError(f"the tissue holds the labels {strange}; wanted 0, 1 (fluid), 2 (gray) and 3 (white matter).")
    inside = to_mask(brain, first, "the brain mask")
    lesion = to_mask(pathology, first, "the pathology mask")
    own = _own_side(lesion, inside)
    steps = spacing_of(spacing, first.ndim)
    counted = ndimage.distance_transform_edt(~lesion, sampling=steps) > margin_mm
    voxel = float(np.prod(steps))

    def change(label: int, where: np.ndarray) -> float:
        return float((second == label)[where].sum() - (first == label)[where].sum()) * voxel

    ipsi, contra = change(1, counted & own), change(1, counted & ~own)
    return TissueChange(ipsi + contra, ipsi, contra, change(2, counted), change(3, counted))


def _own_side(lesion: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """The lesion's side of the image, split at the brain's midline; bool, one row along axis 0 that broadcasts."""
    right = np.arange(brain.shape[0]) > brain_midline(brain)
    own = right if lesion_side(lesion, brain)[0] == RIGHT else ~right
    return own.reshape(-1, *[1] * (brain.ndim - 1))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Synthesized volumes against real ones: how near, how alike as sets, how diverse, and whether modalities and vessels
hold together. No score of a set stands alone: that of real volumes against other real ones is its floor.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy import ndimage
from sklearn.metrics.pairwise import linear_kernel

from mededit_monai.metrics.arrays import same_shape, to_array, to_mask
from mededit_monai.metrics.realism import Features, frechet_distance, squared_mmd

if TYPE_CHECKING:
    from mededit_monai.judges.features import Extractor
    from mededit_monai.judges.volume_features import VolumeExtractor

#: Weights of the scales of MS-SSIM (Wang et al. 2003), and the side of its window.
SCALES, WINDOW = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333), 7

#: Bins of a joint histogram of two modalities.
BINS = 32

#: A vessel takes up at least so much contrast agent, in units of white matter's brightness, and has at least so many
#: voxels. Brightness itself would not do: scans are cut off at their 99.5th percentile, hardly above white matter.
VESSEL_LEVEL, VESSEL_VOXELS = 0.3, 4

#: Voxels of a tumour's part from which on its brightness is told.
FEWEST = 10


def mean_squared_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean of the squared difference over all voxels of two volumes in [0, 1]."""
    found, wanted = to_array(found, "the volume"), to_array(wanted, "the real volume")
    same_shape(found, wanted, "the volume")
    return float(np.mean((found - wanted) ** 2))


def ms_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """
    Multi-scale structural similarity of two volumes XxYxZ in [0, 1] (Wang et al. 2003), by MONAI.

    As many of the five scales as the smallest side has room for, their weights scaled to add up to 1: a score is
    comparable on one grid alone.

    Raises:
        ValueError: shapes that differ, or a side below the window's.
    """
    first, second = to_array(first, "the first volume"), to_array(second, "the second volume")
    same_shape(first, second, "the first volume")
    fitting = [k for k in range(1, len(SCALES) + 1) if min(first.shape) // 2 ** (k - 1) > WINDOW]
    if not fitting:
        raise ValueError(f"the volumes have the shape {first.shape}; wanted sides above {WINDOW}.")
    weights = np.array(SCALES[: fitting[-1]])
    metric = MultiScaleSSIMMetric(
        spatial_dims=3,
        data_range=1.0,
        kernel_type="uniform",
        kernel_size=WINDOW,
        weights=tuple(weights / weights.sum()),
    )
    pair = (torch.from_numpy(np.ascontiguousarray(one, np.float32))[None, None] for one in (first, second))
    return float(metric(*pair))


def diversity(volumes: Sequence[np.ndarray], most: int = 200, seed: int = 0) -> float:
    """
    Mean MS-SSIM of pairs within a set: 1 if all are the same; a set is as diverse as the real one at its value.

    Args:
        most: pairs, drawn at random where there are more.

    Raises:
        ValueError: fewer than two volumes.
    """
    pairs = list(combinations(range(len(volumes)), 2))
    if not pairs:
        raise ValueError(f"got {len(volumes)} volumes; wanted at least two.")
    if len(pairs) > most:
        pairs = [pairs[k] for k in np.random.default_rng(seed).choice(len(pairs), most, replace=False)]
    return float(np.mean([ms_ssim(volumes[a], volumes[b]) for a, b in pairs]))


def mmd(
    found: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    patients: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
) -> float:
    """
    Unbiased squared maximum mean discrepancy with a linear kernel (Gretton et al. 2012) of two sets of volumes; per
    voxel, so that grids of other sizes are comparable. It sees no more than the difference of the means.

    Args:
        patients: of the volumes of both, as for :func:`~mededit_monai.metrics.realism.squared_mmd`: a volume that was
            made from a head's mask is like that head, and would draw the figure below 0.

    Raises:
        ValueError: fewer than two volumes in a set, or all of one patient.
    """
    if min(len(found), len(real)) < 2:
        raise ValueError(f"got {len(found)} and {len(real)} volumes; wanted at least two of both.")
    stacks = [np.stack(one).reshape(len(one), -1).astype(np.float64) for one in (found, real)]
    return squared_mmd(stacks[0], stacks[1], patients, linear_kernel) / stacks[0].shape[1]


def planes_fid(extractor: Extractor, found: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> dict[str, float]:
    """
    3-D FID: the Fréchet distance of features of the three orthogonal planes through the middle of each volume.

    Args:
        extractor: of slices; found, real: volumes XxYxZ in [0, 1].

    Returns:
        ``sagittal``, ``coronal``, ``axial`` and their ``mean``.
    """
    scores = {}
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        sets = [_plane_features(extractor, one, axis) for one in (found, real)]
        scores[name] = frechet_distance(*(one.values for one in sets))
    return scores | {"mean": float(np.mean(list(scores.values())))}


def volumes_fid(extractor: VolumeExtractor, found: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> float:
    """
    Fréchet distance of a 3-D network's features of whole volumes XxYxZ in [0, 1]; sets of at least two each.

    Biased upward in sets that are small beside the number of features: compare at equal sizes, with the floor beside.
    """
    return frechet_distance(*(extractor.features(one).values for one in (found, real)))


def _plane_features(extractor: Extractor, volumes: Sequence[np.ndarray], axis: int) -> Features:
    """Features of the middle planes, padded to squares of a side that the networks take."""
    planes = [np.take(volume, volume.shape[axis] // 2, axis=axis) for volume in volumes]
    side = 16 * -(-max(max(plane.shape) for plane in planes) // 16)
    padded = []
    for plane in planes:
        room = [(side - size) // 2 for size in plane.shape]
        padded.append(np.pad(plane, [(r, side - size - r) for r, size in zip(room, plane.shape)]))
    return extractor.features(np.stack(padded).clip(0, 1))


def shared_information(first: np.ndarray, second: np.ndarray, brain: np.ndarray) -> float:
    """
    Normalised mutual information of two modalities of one head within the brain: 2 I(a; b) / (H(a) + H(b)), from a
    joint histogram of 32 bins. 1 where one follows from the other, 0 where nothing does. It is to be as in real heads:
    less says that the modalities show two brains, more that one copies the other.

    Args:
        first, second: XxYxZ in [0, 1]; brain: mask.
    """
    first, second = to_array(first, "the first modality"), to_array(second, "the second modality")
    same_shape(first, second, "the first modality")
    inside = to_mask(brain, first, "the brain mask")
    joint, _, _ = np.histogram2d(first[inside], second[inside], bins=BINS, range=[[0, 1], [0, 1]])
    joint = joint / joint.sum()

    def entropy(shares: np.ndarray) -> float:
        used = shares[shares > 0]
        return float(-(used * np.log(used)).sum())

    one, other = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    return float(2 * (one + other - entropy(joint)) / (one + other)) if one + other else float("nan")


def part_contrast(volume: np.ndarray, labels: np.ndarray, part: int) -> float:
    """
    Mean brightness of a part of the tumour minus that of the brain around.

    Args:
        volume: XxYxZ in [0, 1]; labels: 1 to 3 tumour, 4 the brain around it; part: a label.

    Returns:
        NaN for fewer than :data:`FEWEST` voxels of it.

    Raises:
        ValueError: shapes that differ.
    """
    volume = to_array(volume, "the volume")
    same_shape(volume, labels, "the volume")
    inside = labels == part
    return float(volume[inside].mean() - volume[labels == 4].mean()) if inside.sum() >= FEWEST else float("nan")


def vessel_continuity(enhanced: np.ndarray, plain: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """
    Do vessels hang together? Of voxels outside the tumour that contrast agent makes brighter.

    The paper's experts found breaks in the Circle of Willis; a network that draws vessels in pieces has as many bright
    voxels as real heads have, but shorter ones.

    Args:
        enhanced, plain: T1 with and without contrast agent, XxYxZ in [0, 1]; each is divided by its white matter, the
            75th percentile of the brain. labels: 1 to 3 tumour, 4 the brain around it.

    Returns:
        ``share`` of the brain that is vessel, and ``longest``: extent of the longest connected one (diagonal of its
        box) over the brain's.

    Raises:
        ValueError: shapes that differ.
    """
    enhanced, plain = to_array(enhanced, "the scan with contrast agent"), to_array(plain, "that without")
    same_shape(enhanced, plain, "the scan with contrast agent")
    brain = labels == 4
    uptake = enhanced / np.quantile(enhanced[brain], 0.75) - plain / np.quantile(plain[brain], 0.75)
    near = ndimage.binary_dilation((labels > 0) & (labels < 4), np.ones((3, 3, 3)), iterations=2)
    bright = (uptake > VESSEL_LEVEL) & brain & ~near
    pieces, count = ndimage.label(bright, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(pieces)
    lengths = [_diagonal(box) for k, box in enumerate(boxes, start=1) if sizes[k] >= VESSEL_VOXELS]
    whole = _diagonal(ndimage.find_objects(brain.astype(int))[0])
    return {"share": float(bright.sum() / brain.sum()), "longest": max(lengths, default=0.0) / whole}


def _diagonal(box: tuple[slice, ...]) -> float:
    return float(np.sqrt(sum((side.stop - side.start) ** 2 for side in box)))

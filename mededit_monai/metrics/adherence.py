# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Is the lesion there, where it was asked for, and with the parts that were asked for?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_dice, compute_iou
from scipy import ndimage

from mededit_monai.metrics.arrays import ratio, to_array, to_labels, to_mask
from mededit_monai.space.masks import component_boxes

#: Regions of a tumour by their label.
TUMOR_REGIONS = {1: "core", 2: "edema", 3: "rim"}


def intensity_drop(prior: np.ndarray, image: np.ndarray, pathology: np.ndarray) -> float:
    """
    Mean darkening inside the pathology mask: mean over p of (prior - image).

    Args:
        prior, image: same shape and units; pathology: binary, not empty.

    Raises:
        ValueError: if the mask is empty.
    """
    inside = np.asarray(pathology) > 0
    if not inside.any():
        raise ValueError("the pathology mask is empty; there is nothing to measure.")
    return float((np.asarray(prior, dtype=np.float64) - np.asarray(image, dtype=np.float64))[inside].mean())


def dice(found: np.ndarray, wanted: np.ndarray) -> float:
    """
    Dice coefficient 2 |A ∩ B| / (|A| + |B|) by MONAI (Dice 1945); 0 … 1, and 1 where both masks are empty.

    Args:
        found: the judge's mask on the edit, HxW[xD].
        wanted: the condition, same shape.

    Raises:
        ValueError: shapes that differ.
    """
    return float(compute_dice(*_batched(found, wanted), include_background=True, ignore_empty=False))


def iou(found: np.ndarray, wanted: np.ndarray) -> float:
    """Intersection over union |A ∩ B| / |A ∪ B| by MONAI (Jaccard 1901); arguments and range as :func:`dice`."""
    return float(compute_iou(*_batched(found, wanted), include_background=True, ignore_empty=False))


def _batched(found: np.ndarray, wanted: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    wanted = to_array(wanted, "the wanted mask") > 0
    found = to_mask(found, wanted, "the found mask")
    return tuple(torch.from_numpy(np.ascontiguousarray(m))[None, None].float() for m in (found, wanted))  # type: ignore


@dataclass(frozen=True)
class Detection:
    """
    Lesions found one by one. ``recall``, ``precision``, ``f1`` in 0 … 1 (NaN where nothing was wanted, found, or
    either); ``wanted``, ``found``, ``hit`` (wanted and met), ``false`` (found and not wanted): numbers of components.
    """

    recall: float
    precision: float
    f1: float
    wanted: int
    found: int
    hit: int
    false: int


def lesion_detection(found: np.ndarray, wanted: np.ndarray, min_overlap: float = 0.0, min_size: int = 1) -> Detection:
    """
    Count connected components (diagonal neighbours connected) that meet one of the other mask.

    recall = wanted components met / wanted components, precision = found components that meet a wanted one / found
    components, F1 = 2 PR / (P + R); the counting of the MICCAI lesion challenges (Commowick et al., Sci Rep 2018).

    Args:
        found, wanted: masks, HxW[xD].
        min_overlap: share of a component that the other mask must cover, 0 … 1; 0: a single voxel.
        min_size: found components with fewer voxels do not count (specks of a judge); every wanted one does.

    Raises:
        ValueError: shapes that differ, or an overlap outside [0, 1].
    """
    if not 0 <= min_overlap <= 1:
        raise ValueError(f"min_overlap is {min_overlap}; wanted a share between 0 and 1.")
    wanted = to_array(wanted, "the wanted mask") > 0
    found = to_mask(found, wanted, "the found mask")
    parts = [p for p in _components(found) if p[0].sum() >= min_size]
    kept = np.zeros_like(found)
    for part, place in parts:
        kept[place] |= part
    met = [_is_met(part, kept[place], min_overlap) for part, place in _components(wanted)]
    right = [_is_met(part, wanted[place], min_overlap) for part, place in parts]
    recall, precision = ratio(sum(met), len(met)), ratio(sum(right), len(right))
    # No component on one side only: nothing is hit, and F1 is 0, not missing.
    both = len(met) + len(right)
    f1 = (
        float("nan")
        if not both
        else 0.0 if not (sum(met) and sum(right)) else 2 * precision * recall / (precision + recall)
    )
    return Detection(recall, precision, f1, len(met), len(right), sum(met), len(right) - sum(right))


def _components(mask: np.ndarray) -> list[tuple[np.ndarray, tuple[slice, ...]]]:
    labels, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return [(labels[place] == k, place) for k, place in enumerate(ndimage.find_objects(labels), start=1)]


def _is_met(part: np.ndarray, other: np.ndarray, min_overlap: float) -> bool:
    share = float(other[part].mean())
    return share > 0 and share >= min_overlap


def box_overlap(found: np.ndarray, boxes: np.ndarray) -> tuple[float, float]:
    """
    Dice and IoU of boxes fitted to the components that the judge found against the boxes of the condition.

    Args:
        found: the judge's mask, HxW[xD]; each connected component gets its bounding box, single pixels too.
        boxes: the condition. Boxes are fitted to it as well: a filled box is its own, and a mask becomes boxes.

    Returns:
        Dice and IoU, 0 … 1. The thesis's wording leaves open what the fitted boxes are compared with; here it is the
        conditioning boxes.
    """
    wanted = to_array(boxes, "the boxes") > 0
    found = to_mask(found, wanted, "the found mask")
    fitted, condition = component_boxes(found), component_boxes(wanted)
    return dice(fitted, condition), iou(fitted, condition)


@dataclass(frozen=True)
class RegionPresence:
    """One region of a tumour: wanted and found (pixels), whether it is present, and its Dice (NaN if not wanted)."""

    wanted_size: int
    found_size: int
    wanted: bool
    present: bool
    dice: float


def region_presence(
    found: np.ndarray, wanted: np.ndarray, min_size: int = 1, share: float = 0.1
) -> dict[str, RegionPresence]:
    """
    Which regions of a tumour the judge finds: core (1), edema (2), rim (3).

    A region is present if the judge sees enough of it within the tumour that was asked for; where in the tumour does
    not matter. What it sees elsewhere says nothing of the edit: judges see specks in healthy tissue too.

    Args:
        found, wanted: label images, HxW[xD], 0 … 3.
        min_size: voxels from which a region counts as present.
        share: of the wanted region's size, from which it does.

    Returns:
        region name → :class:`RegionPresence`.

    Raises:
        ValueError: other labels, naming them, or shapes that differ.
    """
    wanted_labels, found_labels = to_labels(wanted, "the wanted regions"), to_labels(found, "the found regions")
    for name, labels in (("wanted", wanted_labels), ("found", found_labels)):
        strange = sorted(set(np.unique(labels).tolist()) - {0, *TUMOR_REGIONS})
        if strange:
            raise ValueError(f"the {name} regions hold the labels {strange}; wanted 0, 1 (core), 2 (edema), 3 (rim).")
    result, tumour = {}, wanted_labels > 0
    for label, name in TUMOR_REGIONS.items():
        there, asked = found_labels == label, wanted_labels == label
        size, inside = int(asked.sum()), int((there & tumour).sum())
        overlap = dice(there, asked) if size else float("nan")
        present = inside >= max(min_size, share * size)
        result[name] = RegionPresence(size, int(there.sum()), size >= min_size, present, overlap)
    return result

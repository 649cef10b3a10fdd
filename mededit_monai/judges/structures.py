# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the embedded judge looks for, and how its truth is kept: one bit a structure in one plane."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.canvas import TISSUE_LABELS

VENTRICLES = ("ventricle_left", "ventricle_right")

#: All parts of a lesion that has several, where they are measured as one.
WHOLE = "whole"

#: Labels 1, 2, 3 of ``tissue``: fluid outside the lateral ventricles, gray, white matter; 0 in lesion and ventricles.
TISSUES = tuple(TISSUE_LABELS)


def structures(disease: str) -> tuple[str, ...]:
    """All that the judge of a disease looks for, in the order of the network's channels: first the lesion's parts."""
    return (*without_tissue(disease), *TISSUES)


def without_tissue(disease: str) -> tuple[str, ...]:
    """Structures of a judge that was trained before tissue was among them: the first channels of today's."""
    return (*DISEASES[disease].structures, *VENTRICLES)


def pack(planes: list[np.ndarray], brain: np.ndarray) -> np.ndarray:
    """
    Masks in one plane, so that random warps move one image and not one for every structure.

    Args:
        planes: masks HxW in the order of :func:`structures`; brain: mask HxW, kept in the bit behind theirs.

    Returns:
        float32 HxW: whole numbers, exact under nearest-neighbour sampling.
    """
    bits = sum((np.asarray(plane) > 0).astype(np.float32) * 2**k for k, plane in enumerate([*planes, brain]))
    return np.asarray(bits, dtype=np.float32)


def unpack(packed: torch.Tensor, count: int) -> torch.Tensor:
    """Nx1xHxW from :func:`pack` → the first ``count`` masks, float32 NxKxHxW of 0 and 1."""
    bits = packed.round().to(torch.int32)
    return torch.cat([(bits >> k) & 1 for k in range(count)], dim=1).float()


def mirrored(packed: torch.Tensor, disease: str) -> torch.Tensor:
    """Mirror 1xHxW masks along axis 0 (left to right): the left ventricle becomes the right one and the other way."""
    left, right = (structures(disease).index(name) for name in VENTRICLES)
    bits = torch.flip(packed, dims=(1,)).round().to(torch.int32)
    was_left, was_right = (bits >> left) & 1, (bits >> right) & 1
    bits = bits - (was_left << left) - (was_right << right) + (was_left << right) + (was_right << left)
    return bits.to(packed.dtype)


def as_masks(
    probabilities: np.ndarray, disease: str, threshold: float = 0.5, peak: float = 0.5
) -> dict[str, np.ndarray]:
    """
    The network's probabilities as masks, by the words that metrics look up.

    Args:
        probabilities: NxKxHxW[xD] in [0, 1], channels as in :func:`structures`; those of tissue may be missing.
        peak: a piece of lesion (neighbours by corners too) counts if one of its parts is as probable as that somewhere:
            hysteresis, which drops a faint false alarm and leaves a lesion its size.

    Returns:
        ``pathology`` (bool NxHxW), ``ventricles`` (uint8, 1 left and 2 right), ``tissue`` (uint8, 1 fluid, 2 gray and 3
        white matter, 0 where lesion or ventricles are) and, if the disease has labels, ``regions`` (uint8, label k for
        its k-th structure). Where several structures of a mask pass the threshold, the most probable one wins.
    """
    at = {name: probabilities[:, k] for name, k in zip(structures(disease), range(probabilities.shape[1]))}
    parts = [at[name] for name in DISEASES[disease].structures]
    regions = _labels(parts, threshold)
    if peak > threshold:
        regions *= _with_peak(regions > 0, np.max(parts, axis=0) >= peak)
    masks = {"pathology": regions > 0, "ventricles": _labels([at[name] for name in VENTRICLES], threshold)}
    if TISSUES[0] in at:
        tissue = _labels([at[name] for name in TISSUES], threshold)
        masks["tissue"] = np.where(masks["pathology"] | (masks["ventricles"] > 0), 0, tissue).astype(np.uint8)
    return masks | ({"regions": regions} if DISEASES[disease].labels else {})


def _labels(planes: list[np.ndarray], threshold: float) -> np.ndarray:
    stack = np.stack(planes)
    return np.where(stack.max(axis=0) >= threshold, stack.argmax(axis=0) + 1, 0).astype(np.uint8)


def _with_peak(found: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Pieces of the masks N x H x W [x D] in which there is a peak; bool."""
    around = np.ones((3,) * (found.ndim - 1))
    kept = np.zeros(found.shape, bool)
    for one, high, out in zip(found, peaks, kept):
        pieces, _ = ndimage.label(one, structure=around)
        out[:] = np.isin(pieces, np.setdiff1d(pieces[high], 0))
    return kept


def one_structure(masks: dict[str, np.ndarray], name: str, disease: str) -> np.ndarray:
    """The mask of one structure (bool NxHxW) from what :func:`as_masks` gives."""
    if name in VENTRICLES:
        return masks["ventricles"] == VENTRICLES.index(name) + 1
    if name in TISSUES:
        return masks["tissue"] == TISSUES.index(name) + 1
    if not DISEASES[disease].labels:
        return masks["pathology"]
    return masks["regions"] == DISEASES[disease].structures.index(name) + 1

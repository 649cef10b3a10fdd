# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The change that a lesion makes to a scan: how the prior-conditioned network sees it, and how the scan takes it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.space.masks import dilate

#: s in y0 = (image - prior) / s, scans in [-1, 1]. In the region of change of simulated pairs y0 then has a root mean
#: square of 1.3 (stroke) and 0.6 (tumour): the order of 1, which noise schedules are made for.
CHANGE_SCALE = 0.5

#: |image - prior| in [0, 1] from where on a pixel belongs to the region of change.
CHANGE_THRESHOLD = 0.02

#: Smallest piece of a region of change that does not touch the lesion, in pixels; smaller ones are dropped.
SMALLEST_PIECE = 6

#: Width in pixels of the rim around the region of change over which the change fades out.
FEATHER = 2


def scaled_change(image: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """y0 = (image - prior) / s for scans in [-1, 1]; 0 where the lesion changes nothing."""
    return (image - prior) / CHANGE_SCALE


def limited_change(change: torch.Tensor, prior: torch.Tensor, clip: tuple[float, float] | None) -> torch.Tensor:
    """ŷ0 limited to changes that keep prior + s ŷ0 within ``clip``: MONAI's clip of x̂0, carried over to the change."""
    if clip is None:
        return change
    low, high = ((bound - prior) / CHANGE_SCALE for bound in clip)
    return change.clamp(low, high)


def changed_region(image: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """
    Where two scans differ by more than ``CHANGE_THRESHOLD``, closed with a square of side 3: a change that passes
    through zero leaves no hole.

    Args:
        image, prior: in [-1, 1], NxCxHxW[xD].

    Returns:
        bool, same shape.
    """
    return ~dilate(~dilate((image - prior).abs() > 2 * CHANGE_THRESHOLD, 3), 3)


def gated_change(output: torch.Tensor) -> torch.Tensor:
    """
    ŷ0 = σ(l) c of a network's two channels, change c and logit l of the region of change: Nx2… → Nx1….

    E[y0] = P(changed) E[y0 | changed], as y0 is 0 elsewhere: with squared errors the two channels estimate the factors,
    and a closed gate is the identity whatever c is.
    """
    return torch.sigmoid(output[:, 1:2]) * output[:, :1]


def change_weight(gate: torch.Tensor, lesion: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """
    Share of the predicted change that goes into the scan, pixel by pixel: 1 in the region of change, falling to 0 over
    ``FEATHER`` pixels around it, exactly 0 beyond.

    The region is where the gate is above ½, closed with a square of side 3, without pieces of fewer than
    ``SMALLEST_PIECE`` pixels that do not touch the lesion, united with the lesion.

    Args:
        gate: σ(l), Nx1xHxW[xD] in [0, 1].
        lesion: where the lesion is to be, NxKxHxW[xD]; channels are united.
        limit: Nx1xHxW[xD], where the scan may change at all.

    Returns:
        float, Nx1xHxW[xD].
    """
    wanted = (lesion.amax(dim=1) > 0).cpu().numpy()
    opened = (gate[:, 0] > 0.5).cpu().numpy()
    allowed = (limit[:, 0] > 0).cpu().numpy()
    weights = [_weight(*planes) for planes in zip(opened, wanted, allowed)]
    return torch.from_numpy(np.stack(weights))[:, None].to(gate)


def _weight(opened: np.ndarray, wanted: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    square = np.ones((3,) * opened.ndim, dtype=bool)
    region = ndimage.binary_closing(np.pad(opened, 1), square)[(slice(1, -1),) * opened.ndim]
    pieces, count = ndimage.label(region, square)
    if count:
        numbers = np.arange(1, count + 1)
        sizes = ndimage.sum_labels(region, pieces, numbers)
        touching = ndimage.maximum(wanted, pieces, numbers)
        region = np.isin(pieces, numbers[(sizes >= SMALLEST_PIECE) | (touching > 0)])
    region = region | wanted
    if not region.any():
        return np.zeros(region.shape, dtype=np.float32)
    away = ndimage.distance_transform_edt(~region)
    return np.where(allowed, np.clip(1 - away / (FEATHER + 1), 0, 1), 0).astype(np.float32)

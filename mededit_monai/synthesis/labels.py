# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthesis mask says: the brain, and a tumour or its parts in it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from monai.transforms import Transform

from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import BRAIN_LABEL, TUMOR_LABELS
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.model_space import ModelSpace

#: Everything that a mask may hold.
KNOWN = (0, *TUMOR_LABELS.values(), BRAIN_LABEL)


Labels = TypeVar("Labels", np.ndarray, torch.Tensor)


def tumor_of(labels: Labels) -> Labels:
    """Where labels are those of a tumour, bool."""
    return (labels > 0) & (labels < BRAIN_LABEL)


def told_of(labels: np.ndarray, condition: str) -> torch.Tensor:
    """
    What a network is told of labels on its own grid: (1+K)x… float32, the brain, then the tumour (``mask``) or its
    parts (``regions``).
    """
    tumor = tumor_of(labels)
    told = (labels * tumor if condition == "regions" else tumor).astype(np.uint8)
    channels = condition_channels(torch.from_numpy(told)[None], condition).float()
    return torch.cat([torch.from_numpy(labels > 0)[None].float(), channels])


def labels_on_grid(space: ModelSpace, labels: np.ndarray, parts: bool = True) -> np.ndarray:
    """
    Labels of a volume on a coarser grid: the brain, and in it the tumour with the part that covers most of each point.

    Args:
        space: of volumes; labels: uint8 XxYxZ, RAS order.
        parts: whether the tumour's parts are told apart; all of it is 1 otherwise, which is quicker.

    Returns:
        uint8 of ``space.shape``. No component of the tumour is lost that lies in the brain.
    """
    tumor = tumor_of(labels)
    (brain,) = space.to_model(labels > 0, "brain")
    inside = space.to_model(tumor, "mask")[0] & brain if tumor.any() else np.zeros_like(brain)
    told = inside.astype(np.uint8)
    if parts and inside.any():
        told = space.to_model(labels * tumor, "labels")[0] * inside
    return np.where(told > 0, told, np.where(brain, BRAIN_LABEL, 0)).astype(np.uint8)


class SplitLabeld(Transform):
    """
    A case's ``label`` (1xHxWxD: 1 core, 2 edema, 3 enhancing, 4 the brain around them) as the masks that a training
    knows: ``brain`` (all of it), ``pathology`` (1 to 3) and ``regions`` (the labels 1 to 3).

    Raises:
        InputError: other labels, or no brain.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        label = case.pop("label")
        where = f"case '{case.get('case_id', '?')}', 'label'"
        values = torch.unique(label).tolist()
        if strange := [value for value in values if value not in KNOWN]:
            raise InputError(
                f"{where}: holds the label {strange[0]:g}, wanted 0, 1 (core), 2 (edema), 3 (enhancing) and "
                f"{BRAIN_LABEL} (the brain around them); relabel the mask."
            )
        if BRAIN_LABEL not in values:
            raise InputError(
                f"{where}: has no brain (label {BRAIN_LABEL}), and a network that is not told of it learns nothing "
                f"else; add the brain around the tumour to the mask."
            )
        tumor = tumor_of(label)
        masks = {"brain": label > 0, "pathology": tumor, "regions": label * tumor}
        return case | {key: mask.to(label.dtype) for key, mask in masks.items()}

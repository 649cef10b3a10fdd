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

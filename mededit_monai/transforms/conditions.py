# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a pathology mask becomes condition channels: the mask, boxes around its components, or a tumour's regions."""

from __future__ import annotations

import torch

from mededit_monai.errors import InputError
from mededit_monai.transforms.masks import component_boxes

#: Name on the command line → file of the weights that were trained with it.
CONDITION_WEIGHTS = {"mask": "model.pt", "box": "model_box.pt", "regions": "model_regions.pt"}
CONDITIONS = tuple(CONDITION_WEIGHTS)

#: A tumour's labels in the order of their channels: necrotic core, edema, enhancing rim.
REGION_LABELS = (1, 2, 3)


def condition_width(condition: str) -> int:
    """
    Channels of a condition: 3 for ``regions``, else 1.

    Raises:
        InputError: unknown condition.
    """
    if condition not in CONDITIONS:
        raise InputError(f"--condition: got {condition!r}, wanted one of {', '.join(CONDITIONS)}.")
    return len(REGION_LABELS) if condition == "regions" else 1


def condition_channels(mask: torch.Tensor, condition: str) -> torch.Tensor:
    """
    Channels that the network is conditioned on, one case.

    Args:
        mask: 1xHxW[xD]; binary, or a tumour's labels (see ``REGION_LABELS``), which ``regions`` wants.
        condition: ``mask``: the union; ``box``: a filled box around every connected component of the union (thesis,
            section on boxes; components of one pixel count); ``regions``: one channel a label.

    Returns:
        float32 KxHxW[xD] of zeros and ones.
    """
    condition_width(condition)
    if condition == "regions":
        return torch.cat([mask == label for label in REGION_LABELS]).float()
    if condition == "box":
        return torch.from_numpy(component_boxes(mask[0].cpu().numpy() > 0))[None].float().to(mask.device)
    return (mask > 0).float()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a pathology mask becomes condition channels: the mask, boxes around its components, or a tumour's regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mededit_monai.core.errors import InputError

if TYPE_CHECKING:
    import torch

#: Name on the command line → file of the weights that were trained with it.
CONDITION_WEIGHTS = {"mask": "model.pt", "box": "model_box.pt", "regions": "model_regions.pt"}
CONDITIONS = tuple(CONDITION_WEIGHTS)

#: How a network can be told of a label map: beside its input, by its normalisation, or by its attention.
CONDITIONINGS = ("concat", "spade", "cross_attention")

#: Condition → names of its channels. The regions make up the mask.
CONDITION_CHANNELS = {"mask": ("mask",), "box": ("box",), "regions": ("core", "edema", "rim")}

#: Condition → k of the thesis's edit region dilate(p, k).
CONDITION_DILATION = {"mask": 25, "box": 20, "regions": 25}

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
    return len(CONDITION_CHANNELS[condition])


def fused_width() -> int:
    """Channels of a network that takes every condition: mask, boxes, core, edema, rim."""
    return sum(map(len, CONDITION_CHANNELS.values()))


def fused_channels(channels: torch.Tensor, condition: str) -> torch.Tensor:
    """
    Put one condition's channels where a network that takes every condition expects them; the others stay zero.

    Args:
        channels: NxKxHxW[xD] of :func:`condition_channels`.

    Returns:
        Nx5xHxW[xD]: mask, boxes, core, edema, rim.

    Raises:
        InputError: unknown condition, or a K that is not the condition's.
    """
    width = condition_width(condition)
    if channels.shape[1] != width:
        raise InputError(f"--condition {condition}: got {channels.shape[1]} channels, wanted {width}.")
    first = {"mask": 0, "box": 1, "regions": 2}[condition]
    fused = channels.new_zeros(channels.shape[0], fused_width(), *channels.shape[2:])
    fused[:, first : first + width] = channels
    return fused


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
    import torch

    from mededit_monai.space.masks import component_boxes

    condition_width(condition)
    if condition == "regions":
        return torch.cat([mask == label for label in REGION_LABELS]).float()
    if condition == "box":
        return torch.from_numpy(component_boxes(mask[0].cpu().numpy() > 0))[None].float().to(mask.device)
    return (mask > 0).float()

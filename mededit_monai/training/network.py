# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network as a training starts with it."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from mededit_monai.errors import InputError
from mededit_monai.networks.weights import read_weights
from mededit_monai.transforms.conditions import condition_width

logger = logging.getLogger(__name__)


def prepared_network(
    network: torch.nn.Module,
    device: torch.device | str,
    init_weights: str | Path | None = None,
    channels_last: bool = False,
    condition: str = "mask",
) -> torch.nn.Module:
    """
    Warm-start a network and move it to its device.

    Args:
        init_weights: weight file of a network of the same kind, perhaps with other input channels.
        channels_last: store the weights channels last (2-D only; faster on most devices).
        condition: what the network's condition channels hold.

    Raises:
        InputError: if the weights do not fit.
    """
    if init_weights is not None:
        warm_start(network, init_weights, condition)
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def warm_start(network: torch.nn.Module, path: str | Path, condition: str = "mask") -> list[str]:
    """
    Load weights of a network that may have had other input channels.

    Condition channels stand behind the others, also behind a space-to-depth fold, which keeps the cells of a channel
    together. New ones start at zero, so the network first computes what the old one did, whatever they hold. The three
    ``regions`` of a tumour make up its mask: each starts with the mask channel's weights, which computes the same
    too; the other way round the mask channel starts with the mean of the three.

    Args:
        path: plain state dict.
        condition: ``mask``, ``box`` or ``regions``: what the network's own condition channels hold.

    Returns:
        names of the tensors whose input channels were adapted.

    Raises:
        InputError: missing or broken file, other names, or shapes that differ in more than input channels.
    """
    state, wanted, widened = read_weights(path), network.state_dict(), []
    if set(state) != set(wanted):
        odd = sorted(set(state) ^ set(wanted))[0]
        raise InputError(
            f"{path}: is of another network ('{odd}' is in only one of them); wanted the same network_def."
        )
    for name, tensor in state.items():
        old, new = tuple(tensor.shape), tuple(wanted[name].shape)
        if old == new:
            continue
        adapted = _adapted(tensor, new, network, condition)
        if adapted is None:
            raise InputError(
                f"{path}: '{name}' has shape {old}, wanted {new}; only added input channels, and regions in place of "
                f"the mask, can be warm-started."
            )
        state[name] = adapted
        widened.append(name)
    network.load_state_dict(state)
    logger.info("warm start from %s%s", path, f", input channels adapted in {widened}" if widened else "")
    return widened


def _adapted(
    tensor: torch.Tensor, shape: tuple[int, ...], network: torch.nn.Module, condition: str
) -> torch.Tensor | None:
    """A first layer's weights for other input channels; None if more than those differ."""
    if not (tensor.ndim == len(shape) > 1 and (tensor.shape[0], *tensor.shape[2:]) == (shape[0], *shape[2:])):
        return None
    cells = shape[1] // getattr(network, "in_channels", shape[1])
    before, after = tensor.shape[1] // cells, shape[1] // cells
    plain, split = 2 + condition_width("mask"), 2 + condition_width("regions")  # behind x_t and the brain mask
    if (condition, before, after) == ("regions", plain, split):
        return torch.cat([tensor[:, : 2 * cells], *[tensor[:, 2 * cells :]] * (split - 2)], dim=1)
    if condition != "regions" and (before, after) == (split, plain):
        regions = tensor[:, 2 * cells :].unflatten(1, (split - 2, cells))
        return torch.cat([tensor[:, : 2 * cells], regions.mean(dim=1)], dim=1)
    if before > after:
        return None
    padded = torch.zeros(shape, dtype=tensor.dtype)
    padded[:, : tensor.shape[1]] = tensor
    return padded

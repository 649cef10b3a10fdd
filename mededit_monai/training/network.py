# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network as a training starts with it."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from mededit_monai.errors import InputError
from mededit_monai.networks.weights import read_weights

logger = logging.getLogger(__name__)


def prepared_network(
    network: torch.nn.Module,
    device: torch.device | str,
    init_weights: str | Path | None = None,
    channels_last: bool = False,
) -> torch.nn.Module:
    """
    Warm-start a network and move it to its device.

    Args:
        init_weights: weight file of a network of the same kind, perhaps with fewer input channels.
        channels_last: store the weights channels last (2-D only; faster on most devices).

    Raises:
        InputError: if the weights do not fit.
    """
    if init_weights is not None:
        warm_start(network, init_weights)
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def warm_start(network: torch.nn.Module, path: str | Path) -> list[str]:
    """
    Load weights of a network that may have had fewer input channels; the new ones start at zero.

    Condition channels are appended behind the old ones, also behind a space-to-depth fold, which keeps the cells of a
    channel together; so the network first computes what the old one did, whatever the new channels hold.

    Args:
        path: plain state dict.

    Returns:
        names of the tensors that were widened.

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
        fewer_inputs = len(old) == len(new) > 1 and old[1] < new[1] and (old[0], *old[2:]) == (new[0], *new[2:])
        if not fewer_inputs:
            raise InputError(
                f"{path}: '{name}' has shape {old}, wanted {new}; only added input channels can be warm-started."
            )
        padded = torch.zeros(new, dtype=tensor.dtype)
        padded[:, : old[1]] = tensor
        state[name] = padded
        widened.append(name)
    network.load_state_dict(state)
    logger.info("warm start from %s%s", path, f", new input channels at zero in {widened}" if widened else "")
    return widened

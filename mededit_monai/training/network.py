# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network as a training starts with it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from mededit_monai.core.devices import ThinVolumesInSingle
from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import network_named, networks
from mededit_monai.networks.weights import read_weights
from mededit_monai.space.conditions import CONDITION_CHANNELS, CONDITIONS

#: The output layer of MaskConditionedUNet.
OUTPUT_LAYER = "unet.out.2.conv."

logger = logging.getLogger(__name__)


def prepared_network(
    network: torch.nn.Module,
    device: torch.device | str,
    init_weights: str | Path | None = None,
    channels_last: bool = False,
    condition: str = "mask",
    family: str = "mededit",
    checkpointing: bool = False,
) -> torch.nn.Module:
    """
    Warm-start a network and move it to its device.

    Args:
        init_weights: weight file of a network of the same kind, perhaps with other input or fewer output channels.
        channels_last: store the weights channels last (2-D only; faster on most devices).
        condition, family: what the network's input channels hold.
        checkpointing: keep the activations at the borders of its blocks alone; see :func:`checkpointed`.

    Raises:
        InputError: if the weights do not fit.
    """
    if init_weights is not None:
        warm_start(network, init_weights, condition, family)
    if checkpointing:
        checkpointed(network)
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def checkpointed(network: torch.nn.Module) -> None:
    """
    Let the blocks of a network's U-Net, or of an autoencoder, forget what they computed, and compute it once more on
    the way back.

    The gradient is the same; memory falls to what lies between the blocks and within one (Chen et al. 2016, Training
    deep nets with sublinear memory cost), for about a third more time.
    """
    unet = getattr(network, "unet", None)
    if unet is None:
        blocks = (*network.encoder.blocks, *network.decoder.blocks)
    else:
        blocks = (*unet.down_blocks, unet.middle_block, *unet.up_blocks)
    for block in blocks:
        again = partial(checkpoint, block.forward, use_reentrant=False, context_fn=_both_ways)
        block.forward = again  # type: ignore[method-assign]


def _both_ways() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the way there, on which :func:`~mededit_monai.core.devices.autocast_on_cpu` sees to it, and the way back."""
    return nullcontext(), ThinVolumesInSingle()


def warm_start(
    network: torch.nn.Module, path: str | Path, condition: str = "mask", family: str = "mededit"
) -> list[str]:
    """
    Load weights of a network that may have had other input channels, or fewer outputs.

    Which channels the file's network had follows from their number. Channels of the same name keep their weights, also
    behind a space-to-depth fold, which keeps the cells of a channel together. Mask and boxes start as each other, and
    the three ``regions`` of a tumour make up its mask: each starts with the mask channel's weights, the mask with the
    mean of theirs. All others, and all outputs behind the file's own, start at zero. So a network that only gained
    channels first computes what the old one did, whatever they hold. A network that denoises a change y_t and sees the
    scan beside it: its scan channel starts as x_t, which was the scan.

    Args:
        path: plain state dict.
        condition: ``mask``, ``box`` or ``regions``: what the network's own condition channels hold.
        family: name of the network's record, see :class:`~mededit_monai.methods.record.Network`.

    Returns:
        names of the tensors that were adapted.

    Raises:
        InputError: missing or broken file, other names, or shapes that differ in more than channels.
    """
    state, wanted, adapted, told = read_weights(path), network.state_dict(), [], []
    if set(state) != set(wanted):
        odd = sorted(set(state) ^ set(wanted))[0]
        raise InputError(
            f"{path}: is of another network ('{odd}' is in only one of them); wanted the same network_def."
        )
    for name, tensor in state.items():
        old, new = tuple(tensor.shape), tuple(wanted[name].shape)
        if old == new:
            continue
        found = _with_outputs(name, tensor, new, network) or _with_inputs(tensor, new, network, condition, family)
        if found is None:
            raise InputError(
                f"{path}: '{name}' has shape {old}, wanted {new}; only added input channels, inputs of another family, "
                f"and added outputs can be warm-started."
            )
        state[name], note = found
        adapted.append(name)
        told.append(f"; {name}: {note}")
    network.load_state_dict(state)
    logger.info("warm start from %s%s", path, "".join(told))
    return adapted


def _with_outputs(
    name: str, tensor: torch.Tensor, shape: tuple[int, ...], network: torch.nn.Module
) -> tuple[torch.Tensor, str] | None:
    """An output layer's weight or bias with outputs added, and a note; the fold keeps an output's cells together."""
    if not name.startswith(OUTPUT_LAYER) or tuple(tensor.shape[1:]) != shape[1:] or tensor.shape[0] > shape[0]:
        return None
    cells = shape[0] // network.out_channels
    if tensor.shape[0] % cells:
        return None
    padded = torch.zeros(shape, dtype=tensor.dtype)
    padded[: tensor.shape[0]] = tensor
    return padded, f"{tensor.shape[0] // cells} of {network.out_channels} outputs taken, others at zero"


def _with_inputs(
    tensor: torch.Tensor, shape: tuple[int, ...], network: torch.nn.Module, condition: str, family: str
) -> tuple[torch.Tensor, str] | None:
    """A first layer's weights for other input channels, and a note; None if more than those differ."""
    if not (tensor.ndim == len(shape) > 1 and (tensor.shape[0], *tensor.shape[2:]) == (shape[0], *shape[2:])):
        return None
    cells = shape[1] // getattr(network, "in_channels", shape[1])
    before, after = _known_names(tensor.shape[1] // cells), network_named(family).in_names(condition)
    if before is None or len(after) * cells != shape[1]:  # channels without names: added ones start at zero
        if tensor.shape[1] > shape[1]:
            return None
        padded = torch.zeros(shape, dtype=tensor.dtype)
        padded[:, : tensor.shape[1]] = tensor
        return padded, "added channels at zero"
    blocks = tensor.unflatten(1, (len(before), cells))
    columns, notes = [], []
    for name in after:
        sources = _sources(name, before)
        at = [before.index(source) for source in sources]
        columns.append(blocks[:, at].mean(dim=1) if at else torch.zeros_like(blocks[:, 0]))
        notes.append(f"{name} " + ("taken" if sources == (name,) else f"as {'+'.join(sources)}" if at else "at zero"))
    return torch.cat(columns, dim=1), ", ".join(notes)


def _known_names(count: int) -> tuple[str, ...] | None:
    """The input channels of the networks that have so many; mask stands for boxes too."""
    layouts = [one.in_names(condition) for one in networks().values() for condition in CONDITIONS]
    return next((names for names in layouts if len(names) == count), None)


def _sources(name: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """The channels whose mean a channel starts with; none for one that starts at zero."""
    if name in before:
        return (name,)
    if name == "displaced scan":
        return ("x_t",)
    stand_ins = CONDITION_CHANNELS.values()
    for stand_in in stand_ins if any(name in one for one in stand_ins) else ():
        if set(stand_in) <= set(before):
            return stand_in
    return ()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The network as a training starts with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from mededit_monai.core.devices import ThinVolumesInSingle
from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import network_named, networks
from mededit_monai.methods.semantic_synthesis import noisy_names
from mededit_monai.networks.weights import read_weights
from mededit_monai.space.conditions import CONDITION_CHANNELS, CONDITIONS
from mededit_monai.training.folder import trained_settings

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
    noisy: Sequence[str] = (),
) -> torch.nn.Module:
    """
    Warm-start a network and move it to its device.

    Args:
        init_weights: weight file of a network of the same kind, perhaps with other input or fewer output channels.
        channels_last: store the weights channels last (2-D only; faster on most devices).
        condition, family: what the network's input channels hold.
        checkpointing: keep the activations at the borders of its blocks alone; see :func:`checkpointed`.
        noisy: names of the noisy channels of a network of synthesis; see :func:`warm_start`.

    Raises:
        InputError: if the weights do not fit.
    """
    if init_weights is not None:
        warm_start(network, init_weights, condition, family, noisy)
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


@dataclass(frozen=True)
class _Channels:
    """Names of what a network of synthesis is shown: noisy channels, each with an output, and what it is told of."""

    noisy: tuple[str, ...]
    told: tuple[str, ...]

    def of(self, part: str) -> tuple[str, ...]:
        """Those of a part: ``noisy``, ``told``, or ``all``."""
        return {"noisy": self.noisy, "told": self.told, "all": self.noisy + self.told}[part]


def warm_start(
    network: torch.nn.Module,
    path: str | Path,
    condition: str = "mask",
    family: str = "mededit",
    noisy: Sequence[str] = (),
) -> list[str]:
    """
    Load weights of a network that may have had other input channels, or fewer outputs.

    Which channels the file's network had follows from their number. Channels of the same name keep their weights, also
    behind a space-to-depth fold, which keeps the cells of a channel together. Mask and boxes start as each other, and
    the three ``regions`` of a tumour make up its mask: each starts with the mask channel's weights, the mask with the
    mean of theirs. All others, and all outputs behind the file's own, start at zero. So a network that only gained
    channels first computes what the old one did, whatever they hold. A network that denoises a change y_t and sees the
    scan beside it: its scan channel starts as x_t, which was the scan.

    A network of synthesis has an output for each noisy channel, which goes with it: T1 starts as T1. Which ones the
    file's network had, its training wrote down; without that, they are the first of this network's.

    Args:
        path: plain state dict.
        condition: ``mask``, ``box`` or ``regions``: what the network's own condition channels hold.
        family: name of the network's record, see :class:`~mededit_monai.methods.record.Network`.
        noisy: names of the noisy channels of a network of synthesis, its modalities; for others none.

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
    of_synthesis = _by_name(state, path, network, condition, family, tuple(noisy))
    for name, tensor in state.items():
        old, new = tuple(tensor.shape), tuple(wanted[name].shape)
        found = of_synthesis.get(name)
        if old == new and found is None:
            continue
        if found is None:
            found = _with_outputs(name, tensor, new, network) or _with_inputs(tensor, new, network, condition, family)
        if found is None or tuple(found[0].shape) != new:
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


def _by_name(
    state: Mapping[str, torch.Tensor],
    path: str | Path,
    network: torch.nn.Module,
    condition: str,
    family: str,
    noisy: tuple[str, ...],
) -> dict[str, tuple[torch.Tensor, str]]:
    """The layers of a network of synthesis that see or give channels, by name, put together for its own, with notes."""
    outputs = state.get(f"{OUTPUT_LAYER}bias")
    if not noisy or outputs is None or len(outputs) % network.cells:
        return {}
    now = _Channels(noisy, network_named(family).in_names(condition)[1:])
    layers = _layers(state, network)
    before = _channels_of_file(state, layers, path, now, family, len(outputs) // network.cells)
    if before is None or before == now or len(before.noisy) > len(now.noisy):
        return {}
    sources = {name: _noisy_source(name, before.noisy, noisy) for name in noisy}
    told = {name: _sources(name, before.told) for name in now.told}
    found = {}
    for layer, (part, width) in layers.items():
        chosen = {name: (sources | told)[name] for name in now.of(part)}
        if before.of(part) != now.of(part):
            found[layer] = _chosen(state[layer], width, before.of(part), chosen)
    if before.noisy == now.noisy:
        return found
    for layer in (f"{OUTPUT_LAYER}weight", f"{OUTPUT_LAYER}bias"):
        tensor = state[layer] if state[layer].ndim > 1 else state[layer][:, None]
        made, note = _chosen(tensor.transpose(0, 1), network.cells, before.noisy, sources)
        found[layer] = made.transpose(0, 1).reshape(-1, *state[layer].shape[1:]), note
    return found


def _layers(state: Mapping[str, torch.Tensor], network: torch.nn.Module) -> dict[str, tuple[str, int]]:
    """Layer that sees channels → which ones (see :class:`_Channels`), and its weights for each channel."""
    told = {name: ("told", network.cells) for name in state if name.endswith(".mlp_shared.conv.weight")}
    if "voxels.weight" in state:
        told["voxels.weight"] = ("told", network.multiple**network.spatial_dims)
    first = "unet.conv_in.conv.weight" if network.cell is None else "cell.conv.weight"
    return told | {first: ("noisy" if told else "all", network.cells)}


def _channels_of_file(
    state: Mapping[str, torch.Tensor],
    layers: Mapping[str, tuple[str, int]],
    path: str | Path,
    now: _Channels,
    family: str,
    outputs: int,
) -> _Channels | None:
    """The channels of the network whose weights a file holds; None for numbers that no network of synthesis has."""
    layer, (part, width) = next(iter(layers.items()))
    count = state[layer].shape[1] / width - (outputs if part == "all" else 0)
    layouts = [network_named(family).in_names(condition)[1:] for condition in CONDITIONS]
    told = next((names for names in layouts if len(names) == count), None)
    settings = trained_settings(Path(path))[1]
    latents = settings.get("latent_channels") if settings.get("autoencoder_sha256") else 0
    noisy = noisy_names(settings.get("modalities") or (), latents or 0)
    noisy = noisy if len(noisy) == outputs else now.noisy[:outputs]
    return None if told is None or len(noisy) != outputs else _Channels(noisy, told)


def _noisy_source(name: str, before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    """The noisy channel that one starts as; as many that are all others start as each other, in order."""
    if name in before:
        return (name,)
    return () if set(before) & set(now) or len(before) != len(now) else (before[now.index(name)],)


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
    return _chosen(tensor, cells, before, {name: _sources(name, before) for name in after})


def _chosen(
    tensor: torch.Tensor, cells: int, before: tuple[str, ...], sources: Mapping[str, tuple[str, ...]]
) -> tuple[torch.Tensor, str]:
    """
    A layer's weights for other channels along dimension 1, and a note.

    Args:
        cells: weights for each channel, which lie together; what lies behind those of all channels is kept.
        before: names of the channels; sources: name of each new one → of those whose mean it gets, none for zero.
    """
    blocks = tensor[:, : len(before) * cells].unflatten(1, (len(before), cells))
    columns, notes = [], []
    for name, taken in sources.items():
        at = [before.index(source) for source in taken]
        columns.append(blocks[:, at].mean(dim=1) if at else torch.zeros_like(blocks[:, 0]))
        notes.append(f"{name} " + ("taken" if taken == (name,) else f"as {'+'.join(taken)}" if at else "at zero"))
    return torch.cat([*columns, tensor[:, len(before) * cells :]], dim=1), ", ".join(notes)


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

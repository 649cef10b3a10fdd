# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plain half-precision weight files: written whole or not at all, loaded with nothing but tensors in them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from mededit_monai.errors import InputError
from mededit_monai.reports.provenance import sha256


def save_weights(network: torch.nn.Module, path: str | Path) -> None:
    """Write a network's state dict in fp16 (integers unchanged), through a temporary name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu() for k, v in network.state_dict().items()}
    state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    unfinished = path.with_name(path.name + ".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """
    Load a plain state dict into a network (cast to the network's own precision).

    Raises:
        InputError: missing file, not a plain state dict, or weights of another network (first mismatch named).
    """
    path = Path(path)
    _require(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        broken = "is truncated" if not zipfile.is_zipfile(path) else "holds more than tensors"
        raise InputError(f"{path}: cannot be read as a weight file ({broken}); save a plain state dict.") from error
    wanted = network.state_dict()
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{path}: holds no plain state dict; save network.state_dict() alone.")
    if set(state) != set(wanted):
        odd = sorted(set(state) ^ set(wanted))[0]
        where = "is missing from the file" if odd in wanted else "is not in the network"
        raise InputError(f"{path}: does not fit the network: '{odd}' {where}; use weights trained with this config.")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f"{path}: does not fit the network: '{name}' has shape {tuple(tensor.shape)}, wanted "
                f"{tuple(wanted[name].shape)}; use weights trained with this config."
            )
    network.load_state_dict(state)
    return network


def weights_sha256(path: str | Path) -> str:
    """
    SHA-256 of a weight file.

    Raises:
        InputError: if there is no such file.
    """
    _require(path)
    return sha256(path)


def _require(path: str | Path) -> None:
    if not Path(path).is_file():
        raise InputError(f"{path}: weights not found; train the bundle or give another file with --weights.")


class WeightsSaver:
    """
    Save weights at the end of every epoch of the attached engine (a trainer or a validation engine).

    Args:
        network: usually the averaged network.
        path: the file, e.g. ``out/training/model.pt``.
    """

    def __init__(self, network: torch.nn.Module, path: str | Path) -> None:
        self.network, self.path = network, Path(path)

    def attach(self, engine: Engine) -> None:
        """Attach to an engine."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: save_weights(self.network, self.path))

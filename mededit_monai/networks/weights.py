# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plain half-precision weight files: written whole or not at all, loaded with nothing but finite tensors in them."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import replacing
from mededit_monai.io.hashing import sha256
from mededit_monai.io.weight_files import how_to_get


def save_atomically(content: object, path: str | Path) -> None:
    """
    ``torch.save`` through a temporary name: the file is whole, or the one before.

    Raises:
        InputError: if it cannot be written (disk full, no permission).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished, open(unfinished, "wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:
        # torch hides the stream's own error behind one about its archive
        cause = error if isinstance(error, OSError) else find_os_error(error) or error
        raise InputError(
            f"{path}: cannot be written ({getattr(cause, 'strerror', None) or cause}); make room or choose another "
            "--output_dir, then run the same command again; what was saved before is untouched."
        ) from error


def find_os_error(error: BaseException | None) -> OSError | None:
    """The operating system's error an exception stems from, if any."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def save_weights(network: torch.nn.Module, path: str | Path) -> None:
    """Write a network's state dict in fp16 (integers unchanged), whole or not at all."""
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    for name, tensor in half.items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{path}: '{name}' holds values that half precision cannot (largest {state[name].abs().max():g}, "
                "wanted below 65504); the training has diverged: lower --learning_rate."
            )
    save_atomically(half, path)


def read_weights(path: str | Path, nested: str | None = None) -> dict[str, torch.Tensor]:
    """
    The tensors of a weight file, read to the file's own checksums.

    Args:
        nested: name of an entry that may hold them, as in checkpoints of other programs.

    Raises:
        InputError: missing or damaged file, not a plain state dict, or a tensor with NaN or infinite values.
    """
    path = user_path(path)
    _require(path)
    state = read_archive(path, "a weight file", "save a plain state dict")
    if nested is not None and isinstance(state, dict):
        state = state.get(nested, state)
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise InputError(f"{path}: holds no plain state dict; save network.state_dict() alone.")
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{path}: '{name}' holds NaN or infinite values, wanted finite numbers; give weights of a training "
                "that did not diverge, or copy the file again."
            )
    return state


def read_archive(path: Path, kind: str, way_out: str) -> Any:
    """
    What ``torch.save`` wrote, plain types and tensors alone; torch does not look at the archive's checksums itself.

    Args:
        kind: what the file shall be; way_out: what to do if it is not, both for the sentence.

    Raises:
        InputError: damaged, or with more than tensors in it.
        OSError: it cannot be read at all.
    """
    try:
        with open(path, "rb") as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as archive:
                    damaged = archive.testzip()
                if damaged is not None:
                    raise InputError(f"{path}: is damaged (checksum of '{damaged}'); copy it again.")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (InputError, OSError):
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: cannot be read as {kind} (is truncated); {way_out}.") from error
    except Exception as error:
        broken = "is truncated" if not zipfile.is_zipfile(path) else "holds more than tensors"
        raise InputError(f"{path}: cannot be read as {kind} ({broken}); {way_out}.") from error


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """
    Load a plain state dict into a network (cast to the network's own precision).

    Raises:
        InputError: missing file, not a plain state dict, or weights of another network (first mismatch named).
    """
    state, wanted = read_weights(path), network.state_dict()
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
    path = user_path(path)
    _require(path)
    return sha256(path)


def _require(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, wanted a weight file; give the file in it, such as model.pt.")
    if not path.is_file():
        way = how_to_get(path) or "train the bundle or give another file with --weights"
        raise InputError(f"{path}: weights not found; {way}.")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A judge of ventricle volume that owes nothing to this project: brainchop's MeshNet (Fedorov et al. 2017), MIT licence.

Its files are TensorFlow.js ``model.json`` (layers) and ``model.bin`` (weights); the network is a chain of dilated
convolutions, rebuilt here as torch modules. Nothing is shipped: give the folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.processing import conform
from torch import nn

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.whole import read_whole

#: Side of the network's input in voxels of 1 mm, and its orientation.
SIDE, ORIENTATION = 256, "LIA"

#: Names of the classes that are lateral ventricles, in the model's ``colormap.json``.
LATERAL = ("Lateral-Ventricle", "Inferior-Lateral-Ventricle")

#: The same by number in the 18-class model, where no ``colormap.json`` says it.
LATERAL_CLASSES = (3, 4)

ACTIVATIONS = {"elu": nn.ELU, "relu": nn.ReLU, "linear": nn.Identity, "sigmoid": nn.Sigmoid}


def load_meshnet(folder: str | Path) -> nn.Sequential:
    """
    Rebuild the network.

    Args:
        folder: with ``model.json`` and ``model.bin``.

    Returns:
        modules in evaluation mode: 1x1xXxYxZ in [0, 1] → logits 1xCxXxYxZ.

    Raises:
        InputError: missing files, layers other than 3-D convolutions and activations in a chain, or weights that do not
            fit.
    """
    place = user_path(folder) / "model.json"
    if not place.is_file():
        raise InputError(f"{place}: not found; give the folder of a brainchop model (model.json, model.bin).")
    try:
        content = json.loads(place.read_bytes())
        layers = content["modelTopology"]["model_config"]["config"]["layers"]
        weights = _weights(place.parent, content["weightsManifest"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: is no TensorFlow.js layers model ({error!r}); copy it again.") from error
    modules: list[nn.Module] = []
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind == "Conv3D":
            modules.append(_convolution(config, weights, place))
            kind, config = "Activation", {"activation": config.get("activation", "linear")}
        if kind == "Activation" and config["activation"] in ACTIVATIONS:
            if config["activation"] != "linear":
                modules.append(ACTIVATIONS[config["activation"]]())
        elif kind != "InputLayer":
            raise InputError(
                f"{place}: has a layer {kind} ({config.get('activation', config.get('name'))}), wanted convolutions "
                f"and activations ({', '.join(ACTIVATIONS)}) only; use another model."
            )
    return nn.Sequential(*modules).eval()


def _weights(folder: Path, manifest: list[dict]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for group in manifest:
        raw = b"".join((folder / path).read_bytes() if (folder / path).is_file() else b"" for path in group["paths"])
        wanted = sum(int(np.prod(w["shape"])) for w in group["weights"]) * 4
        if len(raw) != wanted or any(w["dtype"] != "float32" for w in group["weights"]):
            raise InputError(
                f"{folder / group['paths'][0]}: has {len(raw)} bytes, wanted {wanted} of float32; copy it again."
            )
        values, start = np.frombuffer(raw, "<f4"), 0
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            found[entry["name"]] = values[start : start + count].reshape(entry["shape"])
            if not np.isfinite(found[entry["name"]]).all():
                raise InputError(f"{folder}: weights '{entry['name']}' are not finite; copy the model again.")
            start += count
    return found


def _convolution(config: dict, weights: dict[str, np.ndarray], place: Path) -> nn.Conv3d:
    """TensorFlow keeps kernels as (x, y, z, in, out); with odd kernels and stride 1 its padding is symmetric."""
    try:
        kernel = weights[f"{config['name']}/kernel"]
        bias = weights.get(f"{config['name']}/bias", np.zeros(kernel.shape[-1], np.float32))
    except KeyError as error:
        raise InputError(f"{place}: names no weights {error} for its layer; copy the model again.") from error
    dilation = tuple(config["dilation_rate"])
    if config["padding"] != "same" or set(config["strides"]) != {1} or any(n % 2 == 0 for n in kernel.shape[:3]):
        raise InputError(f"{place}: layer {config['name']} is strided or not padded; wanted a MeshNet.")
    padding = tuple(d * (n // 2) for d, n in zip(dilation, kernel.shape[:3]))
    module = nn.Conv3d(kernel.shape[3], kernel.shape[4], kernel.shape[:3], padding=padding, dilation=dilation)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(kernel.copy()).permute(4, 3, 0, 1, 2))
        module.bias.copy_(torch.from_numpy(bias.copy()))
    return module


def lateral_classes(folder: str | Path) -> tuple[int, ...]:
    """Numbers of the classes that are lateral ventricles, from ``colormap.json`` where there is one."""
    place = user_path(folder) / "colormap.json"
    try:
        names = json.loads(place.read_bytes()).get("labels", []) if place.is_file() else []
    except (ValueError, AttributeError) as error:
        raise InputError(f"{place}: is not valid JSON ({error}); copy it again.") from error
    found = tuple(k for k, name in enumerate(names) if name in LATERAL)
    return found or LATERAL_CLASSES


def scaled(volume: np.ndarray) -> np.ndarray:
    """Smallest value → 0, largest → 1."""
    low, high = float(volume.min()), float(volume.max())
    return ((volume - low) / max(high - low, 1e-12)).astype(np.float32)


@torch.inference_mode()
def segment_volume(network: nn.Module, volume: np.ndarray, margin: int = 16) -> np.ndarray:
    """
    Classes of every voxel.

    Args:
        volume: 256x256x256, LIA, 1 mm, min-max scaled.
        margin: voxels kept around everything above 5 % of the maximum: air far from the head costs most of the time.

    Returns:
        uint8, same shape; 0 outside what was looked at.
    """
    inside = volume > 0.05
    place = []
    for axis in range(3):
        hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = (int(hit[0]), int(hit[-1])) if hit.size else (0, volume.shape[axis] - 1)
        place.append(slice(max(0, low - margin), min(volume.shape[axis], high + margin + 1)))
    part = torch.from_numpy(np.ascontiguousarray(volume[tuple(place)]))[None, None]
    # Channels last: dilated 3-D convolutions are two to four times as fast on a CPU.
    network = network.to(memory_format=torch.channels_last_3d)
    values = part.contiguous(memory_format=torch.channels_last_3d)
    for module in network:
        values = module(values)  # one layer's result at a time: 1.4 GB for a whole head
    labels = np.zeros(volume.shape, np.uint8)
    labels[tuple(place)] = values.argmax(dim=1)[0].numpy().astype(np.uint8)
    return labels


def segment_scan(network: nn.Module, scan: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """
    Classes on a scan's own grid.

    Args:
        scan: 3-D T1, any orientation and spacing.

    Returns:
        uint8 on the scan's grid as stored, and the scan's affine.

    Raises:
        InputError: a file that is not there or is damaged.
    """
    read_whole(scan)  # nibabel stops before the checksum
    image = nib.load(scan)
    image = nib.Nifti1Image(np.asarray(image.dataobj, np.float32).reshape(image.shape[:3]), image.affine)
    conformed = conform(image, (SIDE,) * 3, (1.0,) * 3, order=1, orientation=ORIENTATION)
    labels = segment_volume(network, scaled(np.asarray(conformed.dataobj)))
    back = nib.processing.resample_from_to(nib.Nifti1Image(labels, conformed.affine), image, order=0)
    return np.asarray(back.dataobj).astype(np.uint8), image.affine

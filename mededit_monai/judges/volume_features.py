# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Features of whole volumes by a 3-D ResNet whose weights the user has, such as MedicalNet's (Chen et al. 2019)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import ResNet
from monai.transforms import NormalizeIntensity
from monai.utils import convert_to_tensor

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.judges.features import filled, renamed
from mededit_monai.metrics.realism import Features
from mededit_monai.networks.weights import read_weights, weights_sha256

#: Entry of a checkpoint in which MedicalNet's files have their tensors, and heads that are not needed.
NESTED, HEADS = "state_dict", ("fc.", "conv_seg.")

_BLOCK = re.compile(r"layer(\d)\.(\d+)\.")


@dataclass(frozen=True)
class VolumeExtractor:
    """
    Volumes → features, with the name that travels with them.

    Args:
        name: of network and weights.
        compute: float32 Nx1xXxYxZ, mean 0 and standard deviation 1 where the volume is not 0 → NxD.
    """

    name: str
    compute: Callable[[torch.Tensor], torch.Tensor]

    def features(self, volumes: Sequence[np.ndarray]) -> Features:
        """Features of a set: volumes XxYxZ, at least two."""
        normalise = NormalizeIntensity(nonzero=True)
        with torch.inference_mode():
            found = [
                self.compute(convert_to_tensor(normalise(np.asarray(volume, np.float32)), track_meta=False)[None, None])
                for volume in volumes
            ]
        return Features(torch.cat(found).float().cpu().numpy(), self.name)


def volume_extractor(path: str | Path, device: str | torch.device = "cpu") -> VolumeExtractor:
    """
    A 3-D ResNet of MONAI with the weights of a file: mean over the positions of the last block, 512 or 2048 values.

    Depth, width and kind of shortcut follow from the tensors. A TorchScript module, which can run code, is refused.

    Args:
        path: a state dict of MONAI's ``resnet10`` … ``resnet200`` for volumes of one channel, or a checkpoint with such
            a ``state_dict``, as MedicalNet's ``resnet_10_23dataset.pth``; read with ``weights_only``.

    Raises:
        InputError: a missing file, or one that holds something else.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"--extractor: {path} is no file; give the weights of a 3-D ResNet, such as MedicalNet's.")
    state = renamed(read_weights(path, nested=NESTED))
    state = {name: tensor for name, tensor in state.items() if not name.startswith(HEADS)}
    network, depth = _network(path, state)
    filled(network, state, path, "a 3-D ResNet named as MONAI's and MedicalNet's are").eval().to(device)
    name = f"resnet{depth}_3d/{weights_sha256(path)[:8]}"
    return VolumeExtractor(name, lambda batch: network(batch.to(device)))


def _network(path: Path, state: dict[str, torch.Tensor]) -> tuple[ResNet, int]:
    """The network that a file's tensors are of, and its depth."""
    blocks = [0, 0, 0, 0]
    for match in filter(None, map(_BLOCK.match, state)):
        layer, number = int(match[1]), int(match[2])
        if 1 <= layer <= 4:
            blocks[layer - 1] = max(blocks[layer - 1], number + 1)
    first = state.get("conv1.weight")
    if first is None or first.ndim != 5 or first.shape[1] != 1 or not all(blocks):
        raise InputError(
            f"--extractor: {path} holds no 3-D ResNet for one channel; give a state dict of MONAI's resnet10, resnet18 "
            f"or resnet50, or a file of MedicalNet."
        )
    deep = "layer1.0.conv3.weight" in state
    network = ResNet(
        "bottleneck" if deep else "basic",
        blocks,
        [first.shape[0] * factor for factor in (1, 2, 4, 8)],
        n_input_channels=1,
        conv1_t_stride=2,
        shortcut_type="B" if any(".downsample." in name for name in state) else "A",
        bias_downsample=any(name.endswith("downsample.0.bias") for name in state),
        feed_forward=False,
    )
    return network, 2 + sum(blocks) * (3 if deep else 2)

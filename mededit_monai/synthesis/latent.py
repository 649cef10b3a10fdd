# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The autoencoder that a diffusion of latents is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.networks.volume_autoencoder import VolumeAutoencoder
from mededit_monai.networks.weights import load_weights, weights_sha256
from mededit_monai.synthesis.trained import require_as_trained

#: What an autoencoder must share with the diffusion.
SHARED = ("modalities", "autoencoder_channels", "latent_channels")


def require_autoencoder(path: str | Path, given: Mapping[str, Any]) -> None:
    """
    Refuse an autoencoder that is not there, or whose training says that it is of other modalities or size.

    Args:
        given: options of the diffusion, by name.

    Raises:
        InputError: names what differs.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(
            f"--autoencoder: {path} not found; train one with the bundle's configs/autoencoder.yaml, or give another."
        )
    require_as_trained(path, {name: given[name] for name in SHARED})


def frozen_autoencoder(
    network: VolumeAutoencoder | None, weights: str | Path | None, device: torch.device | str
) -> VolumeAutoencoder | None:
    """
    The autoencoder with its weights, which no training changes; None without weights.

    Raises:
        InputError: no weights of such an autoencoder, or none with the scale of their latents.
    """
    if network is None or weights is None:
        return None
    try:
        load_weights(network, weights)
    except InputError as error:
        raise InputError(f"--autoencoder: {error}") from None
    if not network.scale > 0:
        raise InputError(f"--autoencoder: {weights} lacks the scale of its latents; train it to the end of an epoch.")
    return network.requires_grad_(False).eval().to(device)


def autoencoder_digest(weights: str | Path | None) -> str | None:
    """SHA-256 of an autoencoder's weight file; None for none."""
    return None if weights is None else weights_sha256(weights)

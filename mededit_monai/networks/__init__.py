# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers and their weight files."""

from mededit_monai.networks.effects_network import Effects, EffectsNetwork
from mededit_monai.networks.mask_conditioned_unet import MaskConditionedUNet
from mededit_monai.networks.paint_network import PaintNetwork
from mededit_monai.networks.volume_autoencoder import VolumeAutoencoder
from mededit_monai.networks.weights import load_weights, read_weights, save_weights, weights_sha256

__all__ = [
    "Effects",
    "EffectsNetwork",
    "MaskConditionedUNet",
    "PaintNetwork",
    "VolumeAutoencoder",
    "load_weights",
    "read_weights",
    "save_weights",
    "weights_sha256",
]

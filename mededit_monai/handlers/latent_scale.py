# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The scale of an autoencoder's latents, which every file of its weights holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from mededit_monai.networks.volume_autoencoder import VolumeAutoencoder
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.prepare_batch import batch_tensor


class LatentScale:
    """
    Measures the latents of the validation's volumes at the end of every epoch, before its weights are saved.

    Args:
        network: whose weights are exported.
        data: batches with ``image`` NxMxHxWxD in [0, 1].
        device: of the network.
    """

    def __init__(
        self, network: VolumeAutoencoder, data: Iterable[Mapping[str, Any]], device: str | torch.device
    ) -> None:
        self.network, self.data, self.device = network, data, device

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        self.network.measure(to_model_range(batch_tensor(batch, "image", self.device)) for batch in self.data)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The autoencoder in whose latent space volumes can be diffused: MONAI's ``AutoencoderKL`` and its latents' scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from monai.networks.nets import AutoencoderKL

from mededit_monai.core.errors import require_whole
from mededit_monai.networks.mask_conditioned_unet import MOST_CHANNELS, check_channels

#: Groups of its normalisations.
GROUPS = 4


class VolumeAutoencoder(AutoencoderKL):
    """
    Volumes in [-1, 1] to latents on a grid that every level but the first halves, and back (Rombach et al. 2022).

    Args:
        modalities: channels of a volume.
        channels: of each level, multiples of 4.
        latent_channels: of a latent.

    Attributes:
        factor: voxels along a side of a latent's cell.
        scale, reach: buffers: 1 / standard deviation of the latents of real volumes, and the largest of their values
            after scaling; 0 until :meth:`measure`.

    Raises:
        InputError: sizes that do not go together.

    Example:
        >>> network = VolumeAutoencoder(1, (8, 16), 2)
        >>> network.measure([torch.rand(1, 1, 8, 8, 8)])
        >>> network.latents(torch.zeros(1, 1, 8, 8, 8)).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    def __init__(self, modalities: int, channels: Sequence[int], latent_channels: int) -> None:
        require_autoencoder_sizes(channels, latent_channels)
        super().__init__(
            spatial_dims=3,
            in_channels=modalities,
            out_channels=modalities,
            num_res_blocks=1,
            channels=tuple(channels),
            attention_levels=(False,) * len(channels),
            latent_channels=latent_channels,
            norm_num_groups=GROUPS,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.factor = self.multiple = 2 ** (len(channels) - 1)
        self.scale: torch.Tensor
        self.reach: torch.Tensor
        self.register_buffer("scale", torch.zeros(()))
        self.register_buffer("reach", torch.zeros(()))

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            x: volumes NxMxHxWxD in [-1, 1], every side a multiple of ``factor``.
            noise: standard normal, of the latents' shape; None: the mean is decoded.

        Returns:
            the volumes again; mean and standard deviation of their latents.
        """
        mean, deviation = self.encode(x)
        return self.decode(mean if noise is None else mean + deviation * noise), mean, deviation

    @torch.no_grad()
    def measure(self, volumes: Iterable[torch.Tensor]) -> None:
        """Set ``scale`` and ``reach`` by batches of volumes NxMxHxWxD in [-1, 1]."""
        latents = torch.cat([self.encode(batch)[0].float().flatten() for batch in volumes])
        self.scale.copy_(1 / latents.std())
        self.reach.copy_((latents * self.scale).abs().max())

    @torch.no_grad()
    def latents(self, volumes: torch.Tensor) -> torch.Tensor:
        """Latents of unit standard deviation, NxLx(H/factor)…; volumes NxMxHxWxD in [-1, 1]."""
        return self.encode(volumes)[0] * self.scale

    @torch.no_grad()
    def volumes(self, latents: torch.Tensor) -> torch.Tensor:
        """What :meth:`latents` came from, about in [-1, 1]."""
        return self.decode(latents / self.scale)

    def on_its_grid(self, masks: torch.Tensor) -> torch.Tensor:
        """Masks NxKxHxWxD as their shares of each latent's cell."""
        return torch.nn.functional.avg_pool3d(masks, self.factor)


def require_autoencoder_sizes(channels: Sequence[int], latent_channels: int) -> None:
    """Raises InputError for sizes that MONAI's autoencoder cannot have."""
    check_channels("autoencoder_channels", channels, GROUPS, f"{GROUPS}; change it")
    require_whole("latent_channels", latent_channels, 1, most=MOST_CHANNELS)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Random appearance of scans in 2-D and 3-D: contrast, field, sharpness and noise.

MONAI's transforms for each of these take half a second a volume, as long as the network learns from it; here a curve is
looked up in a table, and fields are drawn on a coarse grid.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from torch.nn.functional import interpolate

#: Points of a contrast curve's table.
TABLE = 512


class RandAppearance(RandomizableTransform):
    """
    One draw for all channels of an image, so that a pair stays equal where the lesion changed nothing.

    Args:
        contrast: share of the images whose intensities follow a random rising curve (a power of 0.6 to 1.6 through
            shifted control points).
        bias: share that get a smooth field of up to ± 35 %.
        blur: share that are blurred or shown at lower resolution.
        noise: share that get Rician noise (Gudbjartsson & Patz 1995) of a standard deviation up to 0.05, white or
            coloured as reconstructions do: √((x + n1)² + n2²).
    """

    def __init__(self, contrast: float = 0.7, bias: float = 0.5, blur: float = 0.3, noise: float = 0.5) -> None:
        super().__init__(prob=1.0)
        self.contrast, self.bias, self.blur, self.noise = contrast, bias, blur, noise

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: CxS in [0, 1].

        Returns:
            CxS, at least 0.
        """
        image, drawn = img.float(), torch.Generator().manual_seed(int(self.R.randint(2**31)))
        if self.R.random() < self.contrast:
            image = self._curved(image)
        if self.R.random() < self.bias:
            image = image * _field(image.shape[1:], float(self.R.uniform(0, 0.35)), drawn)
        if self.R.random() < self.blur:
            image = _softened(image, float(self.R.uniform(0.55, 0.95)))
        if self.R.random() < self.noise:
            image = self._noisy(image, drawn)
        return image

    def _curved(self, image: torch.Tensor) -> torch.Tensor:
        points = np.linspace(0, 1, int(self.R.randint(4, 9)))
        heights = points.copy()
        heights[1:-1] += self.R.uniform(-0.4, 0.4, len(points) - 2) / (len(points) - 1)
        power = np.exp(self.R.uniform(np.log(0.6), np.log(1.6)))
        table = np.interp(np.linspace(0, 1, TABLE), points, heights) ** power
        scaled = image.clamp(0, 1) * (TABLE - 1)
        low = scaled.long().clamp(max=TABLE - 2)
        curve = torch.from_numpy(table).float()
        return torch.lerp(curve[low], curve[low + 1], scaled - low)

    def _noisy(self, image: torch.Tensor, drawn: torch.Generator) -> torch.Tensor:
        sigma, coarse = float(self.R.uniform(0, 0.05)), self.R.random() < 0.5
        noise = torch.randn((1, 2, *image.shape[1:]), generator=drawn)
        if coarse:
            noise = _box_blur(noise)
        noise = noise[0] * (sigma / noise.std())
        return torch.hypot(image + noise[0], noise[1].expand_as(image))


def _field(shape: torch.Size, amount: float, drawn: torch.Generator) -> torch.Tensor:
    """A smooth positive field around 1: the exponential of random numbers on a grid of four points an axis."""
    coarse = torch.randn((1, 1, *[4] * len(shape)), generator=drawn)
    smooth = interpolate(coarse, size=shape, mode="bilinear" if len(shape) == 2 else "trilinear", align_corners=True)
    return torch.exp(amount * smooth[0] / smooth.abs().max().clamp(min=1e-6))


def _softened(image: torch.Tensor, zoom: float) -> torch.Tensor:
    """An image as seen with larger voxels."""
    mode = "bilinear" if image.ndim == 3 else "trilinear"
    small = [max(8, round(side * zoom)) for side in image.shape[1:]]
    lower = interpolate(image[None], size=small, mode="area")
    return interpolate(lower, size=image.shape[1:], mode=mode, align_corners=False)[0]


def _box_blur(noise: torch.Tensor) -> torch.Tensor:
    """Mean over two neighbours along every axis."""
    for axis in range(2, noise.ndim):
        noise = noise + noise.roll(1, axis)
    return noise

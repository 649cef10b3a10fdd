# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Fields in two or three dimensions: smooth noise for shapes and bias, grain for texture, and how a field fades out."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use: what only looks at names need not wait for them

#: Velocities below so many grid steps are none.
FLOOR = 0.04


def smooth_noise(shape: tuple[int, ...], length: float, rng: np.random.Generator) -> np.ndarray:
    """
    Gaussian random field with standard deviation about 1 that varies over ``length`` pixels.

    Long fields are drawn on a coarse grid and enlarged: blurring white noise at full size costs ten times more.

    Returns:
        float32 of the given shape.
    """
    return _smooth_fields(1, shape, length, rng)[0]


def vector_noise(
    parts: int, shape: tuple[int, ...], length: float, peak: float, rng: np.random.Generator
) -> np.ndarray:
    """``parts`` smooth fields with max |value| = ``peak`` over all of them; parts x shape, float32."""
    field = _smooth_fields(parts, shape, length, rng)
    return field * np.float32(peak / max(float(np.abs(field).max()), 1e-6))


def _smooth_fields(parts: int, shape: tuple[int, ...], length: float, rng: np.random.Generator) -> np.ndarray:
    step = max(1, int(length / 1.3))
    coarse = rng.standard_normal([parts, *(-(-n // step) + 2 for n in shape)], dtype=np.float32)
    coarse = gaussian(coarse, length / step, "wrap", 3, len(shape))
    coarse /= max(float(coarse.std()), 1e-6)
    inside = (slice(None), *(slice(0, n) for n in shape))
    if step == 1:
        return np.ascontiguousarray(coarse[inside])
    return enlarged(coarse, step)[inside].copy()


def enlarged(coarse: np.ndarray, step: int) -> np.ndarray:
    """Fields CxS on every ``step``-th point of a grid → on all from the first to the last, linear between; float32."""
    import torch  # takes seconds to import

    size = [(n - 1) * step + 1 for n in coarse.shape[1:]]
    mode = "bilinear" if coarse.ndim == 3 else "trilinear"
    field = torch.from_numpy(np.ascontiguousarray(coarse, dtype=np.float32))[None]
    return torch.nn.functional.interpolate(field, size=size, mode=mode, align_corners=True)[0].numpy()


def doubled(blocks: np.ndarray) -> np.ndarray:
    """Means of 2x2x2 points → all points, linear between the blocks' middles; XxYxZ float32."""
    import torch

    field = torch.from_numpy(np.ascontiguousarray(blocks, dtype=np.float32))[None, None]
    return torch.nn.functional.interpolate(field, scale_factor=2, mode="trilinear", align_corners=False)[0, 0].numpy()


def grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """White noise blurred by ``sigma`` pixels, standard deviation 1, float32."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if sigma > 0.05:
        noise = gaussian(noise, sigma, "wrap", 3)
        noise /= noise.std()
    return noise


def blur(image: np.ndarray, sigma: float, truncate: float = 3.0) -> np.ndarray:
    """Gaussian blur in pixels, float32, zero-padded ends held at the border's value."""
    return gaussian(np.asarray(image, dtype=np.float32), sigma, "nearest", truncate)


def gaussian(fields: np.ndarray, sigma: float, mode: str, truncate: float, dims: int | None = None) -> np.ndarray:
    """
    SciPy's Gaussian filter over the last ``dims`` axes (None: all), float32; to rounding the same.

    Wide ones of volumes are products with a band matrix an axis: three times faster, whatever the width.

    Args:
        mode: what is beyond the border, as SciPy calls it.
    """
    dims = fields.ndim if dims is None else dims
    shape = fields.shape[fields.ndim - dims :]
    if dims < 3 or sigma < 1 or max(shape) > 256:
        return scipy.ndimage.gaussian_filter(
            fields, (*[0] * (fields.ndim - dims), *[sigma] * dims), mode=mode, truncate=truncate
        )
    import torch  # takes seconds to import

    bands = {
        n: torch.from_numpy(
            scipy.ndimage.gaussian_filter1d(np.eye(n, dtype=np.float32), sigma, 0, mode=mode, truncate=truncate)
        )
        for n in set(shape)
    }
    x, y, z = shape
    found = torch.from_numpy(np.ascontiguousarray(fields, dtype=np.float32)).reshape(-1, x, y * z)
    found = torch.matmul(bands[x], found).reshape(-1, y, z)
    return torch.matmul(torch.matmul(bands[y], found), bands[z].T).reshape(fields.shape).numpy()


def smoothstep(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, 3t² - 2t³ between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def taper(velocity: np.ndarray, weight: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """
    Fade a velocity out by a weight in [0, 1], and to exactly zero where it is below ``floor`` pixels.

    The fading is continuous (full from three times the floor on), so the flow stays smooth.
    """
    faded = velocity * weight
    size = np.sqrt((faded**2).sum(axis=0))
    keep = np.clip((size - floor) / (2 * floor), 0, 1)
    return (faded * keep).astype(np.float32)

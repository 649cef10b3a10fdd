# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Fields in two or three dimensions: smooth noise for shapes and bias, grain for texture, and how a field fades out."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded at their first use: what only looks at names need not wait for them


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
    import torch  # takes seconds to import

    step = max(1, int(length / 1.6))
    coarse = rng.standard_normal([parts, *(-(-n // step) + 2 for n in shape)], dtype=np.float32)
    coarse = scipy.ndimage.gaussian_filter(coarse, (0, *[length / step] * len(shape)), mode="wrap", truncate=3)
    coarse /= max(float(coarse.std()), 1e-6)
    inside = (slice(None), *(slice(0, n) for n in shape))
    if step == 1:
        return np.ascontiguousarray(coarse[inside])
    size = [(n - 1) * step + 1 for n in coarse.shape[1:]]
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    field = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None], size=size, mode=mode, align_corners=True)
    return field[0].numpy()[inside].copy()


def grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """White noise blurred by ``sigma`` pixels, standard deviation 1, float32."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if sigma > 0.05:
        noise = scipy.ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3)
        noise /= noise.std()
    return noise


def blur(image: np.ndarray, sigma: float | np.ndarray, truncate: float = 3.0) -> np.ndarray:
    """Gaussian blur in pixels, float32, zero-padded ends held at the border's value."""
    return scipy.ndimage.gaussian_filter(np.asarray(image, dtype=np.float32), sigma, mode="nearest", truncate=truncate)


def smoothstep(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, 3t² - 2t³ between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def taper(velocity: np.ndarray, weight: np.ndarray, floor: float = 0.04) -> np.ndarray:
    """
    Fade a velocity out by a weight in [0, 1], and to exactly zero where it is below ``floor`` pixels.

    The fading is continuous (full from three times the floor on), so the flow stays smooth.
    """
    faded = velocity * weight
    size = np.sqrt((faded**2).sum(axis=0))
    keep = np.clip((size - floor) / (2 * floor), 0, 1)
    return (faded * keep).astype(np.float32)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""T1-like appearance: tissue contrast and texture of a slice, then what the scanner adds."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mededit_monai.simulation.deformation import smooth_field


def paint_t1(
    gray: np.ndarray, white: np.ndarray, brain: np.ndarray, t1: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """
    Paint tissue maps with a random T1 contrast.

    Tissue means follow the ranges that worked in practice (white .78–.95, gray .50–.68, fluid .08–.22); the template's
    own intensity enters with a random weight, which brings deep nuclei and partial volume that the maps do not hold.

    Args:
        gray, white, t1: XxY in [0, 1]; brain: binary XxY.

    Returns:
        painted slice, XxY, zero outside the brain, and the intensity of fluid in it.
    """
    fluid = float(rng.uniform(0.08, 0.22))
    mean_gray, mean_white = rng.uniform(0.50, 0.68), rng.uniform(0.78, 0.95)
    csf = np.clip(1 - gray - white, 0, 1)
    painted = gray * mean_gray + white * mean_white + csf * fluid
    inside = t1[brain]
    low, high = np.percentile(inside, (2, 98)) if inside.size else (0.0, 1.0)
    stretched = fluid + (mean_white - fluid) * np.clip((t1 - low) / max(high - low, 1e-6), 0, 1.1)
    share = rng.uniform(0.1, 0.6)
    image = (1 - share) * painted + share * stretched
    for length, amplitude in ((1.0, rng.uniform(0.0, 0.035)), (4.0, rng.uniform(0.0, 0.03))):
        grain = ndimage.gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), length)
        image = image + amplitude * (1 - csf) * grain / grain.std()
    return np.where(brain, np.maximum(image, 0), 0).astype(np.float32), fluid


def scanner_field(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth multiplicative receive field, mean 1, within about ±20 %, XxY."""
    return np.exp(smooth_field(shape, 45.0, rng.uniform(0.02, 0.18), rng))


def scanner_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Two channels of Gaussian noise (2xXxY) with one random strength, for :func:`rician`."""
    return (rng.uniform(0.004, 0.035) * rng.standard_normal((2, *shape), dtype=np.float32)).astype(np.float32)


def rician(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Magnitude of a signal with noise in both channels: √((s + n₁)² + n₂²)."""
    return np.hypot(image + noise[0], noise[1])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Procedural stroke lesions: where they lie, and what they look like years later (chronic infarct on T1)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def random_stroke(tissue: np.ndarray, area: float, rng: np.random.Generator) -> np.ndarray:
    """
    An irregular lesion of a given size inside one hemisphere.

    Args:
        tissue: parenchyma (ventricles excluded), binary, XxY at 1 mm, hemispheres split at the middle of x.
        area: wanted area in mm²; smaller where the hemisphere holds less.

    Returns:
        binary XxY, not empty.

    Raises:
        ValueError: if there is no tissue.
    """
    candidates = np.argwhere(tissue)
    if len(candidates) == 0:
        raise ValueError("no tissue in this slice to place a lesion in.")
    centre = candidates[rng.integers(len(candidates))]
    middle = np.argwhere(tissue)[:, 0].mean()
    hemisphere = (np.arange(tissue.shape[0]) < middle) == (centre[0] < middle)
    allowed = tissue & hemisphere[:, None]
    radius = np.sqrt(area / np.pi)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in tissue.shape), indexing="ij")) - centre[:, None, None]
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 2.2)
    along = grid[0] * np.cos(angle) + grid[1] * np.sin(angle)
    across = grid[1] * np.cos(angle) - grid[0] * np.sin(angle)
    distance = np.hypot(along / np.sqrt(stretch), across * np.sqrt(stretch)) / radius
    rough = ndimage.gaussian_filter(rng.standard_normal(tissue.shape), max(1.5, radius / 3))
    # Level set of distance + roughness, cut at the value that gives the wanted area.
    score = np.where(allowed, -distance + rng.uniform(0.1, 0.4) * rough / rough.std(), -np.inf)
    count = min(max(1, int(round(area))), int(allowed.sum()))
    cut = np.partition(score[allowed], -count)[-count]
    return score >= cut


def paint_stroke(
    image: np.ndarray, lesion: np.ndarray, fluid: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, float]]:
    """
    Blend a chronic infarct into a painted slice: fluid-like core, brighter gliotic rim, mottled texture.

    Args:
        image: painted slice (before bias and noise), XxY.
        lesion: binary, XxY.
        fluid: intensity of cerebrospinal fluid in ``image``.

    Returns:
        the slice with the lesion, unchanged where the softened lesion is zero, and the parameters drawn.
    """
    severity, rim_width = float(rng.uniform(0.8, 1.0)), float(rng.uniform(1.0, 4.0))
    mottle = ndimage.gaussian_filter(rng.standard_normal(image.shape), 1.5)
    texture = float(rng.uniform(0.02, 0.06))
    depth = ndimage.distance_transform_edt(lesion)
    core = np.clip(depth / rim_width, 0.35, 1.0) * severity
    soft = np.minimum(1.0, ndimage.gaussian_filter(lesion.astype(np.float32), 0.6, truncate=2.0))
    value = core * (fluid * rng.uniform(1.0, 1.5)) + (1 - core) * image + texture * mottle / mottle.std()
    painted = (image + soft * (np.maximum(value, 0) - image)).astype(image.dtype)
    return painted, {"severity": severity, "rim_width_mm": rim_width, "texture": texture}

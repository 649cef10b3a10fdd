# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Appearance of a brain without lesion, T1 or T1 with gadolinium, drawn so widely that a real scan is one more draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mededit_monai.diseases.canvas import CHOROID, FLUID, LEFT, RIGHT, TISSUES, Canvas, Contrast
from mededit_monai.space.fields import blur, grain, smooth_noise


def paint_tissue(canvas: Canvas, gadolinium: bool, rng: np.random.Generator) -> tuple[np.ndarray, Contrast, dict]:
    """
    The scan without lesion, before bias and noise.

    A label map is painted: tissue means, gentle gradients within a tissue, grain, vessels, partial volume. A scan keeps
    its own intensities and gets a random contrast curve. A template mixes both.

    Args:
        gadolinium: T1-Gd: vessels, sinuses and choroid plexus are bright.

    Returns:
        image S (≥ 0, float32), its contrast, and the parameters drawn.
    """
    means = t1_means(gadolinium, rng)
    painted = paint_labels(canvas, means, gadolinium, rng)
    contrast = Contrast(means["white"], means["cortex"], means["fluid"], means["vessel"])
    share = 0.0
    if canvas.intensity is not None:
        share = 1.0 if canvas.parameters.get("kind") == "scan" else float(rng.uniform(0.1, 0.5))
        own, own_contrast = _own(canvas, rng)
        if share == 1.0:
            painted, contrast = own, own_contrast
            if gadolinium:
                painted = _enhance(painted, canvas, contrast, rng)
        else:
            scale = (contrast.white - contrast.fluid) / max(own_contrast.white - own_contrast.fluid, 1e-3)
            painted = (1 - share) * painted + share * (contrast.fluid + (own - own_contrast.fluid) * scale)
    sigma = 0.9 * float(rng.uniform(0, 1)) ** 2 / canvas.spacing
    crisp = float(rng.uniform(-0.4, 0.9))
    if sigma > 0.2:
        painted = blur(painted, sigma)
    elif crisp > 0 and share < 1:  # edge enhancement of the reconstruction, and what resampling took away
        painted = painted + crisp * (painted - blur(painted, 0.9 / canvas.spacing))
    drawn = {"means": {k: round(v, 4) for k, v in means.items()}, "own_share": share, "blur_mm": sigma * canvas.spacing}
    return np.maximum(painted, 0).astype(np.float32), contrast, drawn


def t1_means(gadolinium: bool, rng: np.random.Generator) -> dict[str, float]:
    """Tissue means on T1; deep nuclei lie between gray and white (iron and myelin), ventricles are the darkest."""
    u = rng.uniform
    white = u(0.70, 0.95)
    gray = white * u(0.62, 0.82)
    fluid = white * u(0.08, 0.45)

    def between(low: float, high: float) -> float:
        return gray + (white - gray) * u(low, high)

    means = {
        "white": white,
        "cortex": gray,
        "thalamus": between(0.2, 0.6),
        "striatum": between(-0.05, 0.3),
        "pallidum": between(0.45, 0.95),
        "brainstem": between(0.5, 0.95),
        "cerebellum_gray": gray * u(0.9, 1.05),
        "cerebellum_white": white * u(0.92, 1.03),
        "left_ventricle": fluid * u(0.8, 1.0),
        "fluid": fluid,
        "choroid": (white * u(1.0, 1.6)) if gadolinium else fluid + (gray - fluid) * u(0.3, 0.9),
        "white_lesion": between(-0.6, 0.2),
        "vessel": white * (u(1.15, 1.9) if gadolinium else u(0.3, 1.1)),
        "other": fluid + (gray - fluid) * u(-0.4, 0.35),
    }
    means["right_ventricle"] = means["left_ventricle"]
    return {k: float(v) for k, v in means.items()}


def paint_labels(canvas: Canvas, means: dict[str, float], gadolinium: bool, rng: np.random.Generator) -> np.ndarray:
    """
    A label map painted by the means of its tissues, with gradients within them, mottle, grain and what age does; S.

    Args:
        means: by the names of ``TISSUES`` and ``other``, of any sequence; gadolinium: vessels are bright.
    """
    f, shape, step = canvas.fractions, canvas.depth.shape, canvas.spacing
    other = np.clip(1 - f.sum(axis=0), 0, 1)
    image = np.tensordot(np.array([means[t] for t in TISSUES], np.float32), f, axes=1) + means["other"] * other
    tissue = canvas.parenchyma
    span = means["white"] - means["cortex"]
    # Within a tissue: slow gradients, finer mottle, and white matter that darkens beside the ventricles with age.
    slow = smooth_noise(shape, float(rng.uniform(9, 22)) / step, rng)
    mottle = smooth_noise(shape, float(rng.uniform(2.0, 4.5)) / step, rng)
    fine = grain(shape, float(rng.uniform(0.5, 1.2)) / step, rng)
    strength = rng.uniform(0, 1, 3) ** 3 * (0.14, 0.16, 0.16)
    texture = strength[0] * slow + strength[1] * mottle + strength[2] * fine
    image = image + span * texture * tissue
    aged = 0.7 * float(rng.uniform(0, 1)) ** 4
    near = blur(f[LEFT] + f[RIGHT], 4.0 / step, truncate=2)
    image = image - aged * 1.6 * span * near * f[0] * (1 + 0.5 * mottle)
    # Sulci hold pia, veins and dura beside fluid: brighter and less even than the ventricles.
    film = np.abs(smooth_noise(shape, float(rng.uniform(1.5, 4.0)) / step, rng))
    image = image + rng.uniform(0.0, 0.22) * (means["white"] - means["fluid"]) * film * f[FLUID]
    if gadolinium:
        return _enhance(image, canvas, Contrast(means["white"], means["cortex"], means["fluid"], means["vessel"]), rng)
    return image


def _enhance(image: np.ndarray, canvas: Canvas, contrast: Contrast, rng: np.random.Generator) -> np.ndarray:
    """Vessels of a T1-Gd scan: cortical veins in the sulci, sagittal sinus, choroid plexus, small ones in tissue."""
    f, shape, step = canvas.fractions, canvas.depth.shape, canvas.spacing
    bright = contrast.vessel
    # Threads: the zero lines of a smooth field, thinned out by another one.
    line = np.abs(smooth_noise(shape, 5.0 / step, rng)) < rng.uniform(0.10, 0.26)
    patchy = smooth_noise(shape, 14.0 / step, rng) > rng.uniform(-0.4, 0.7)
    veins = (line & patchy).astype(np.float32) * np.clip(1.5 * f[FLUID], 0, 1) * (canvas.depth < 30)
    # The sagittal sinus runs along the midline at the front and back edge of the brain.
    middle = np.exp(-((canvas.mni[0] / rng.uniform(2.0, 4.0)) ** 2))
    sinus = middle * np.clip(1 - (canvas.depth + 1) / rng.uniform(3, 6), 0, 1) * (np.abs(canvas.mni[1] + 16) > 55)
    inner = f[LEFT] + f[RIGHT]
    plexus = inner * (smooth_noise(shape, 4.0 / step, rng) > 1.2) * (canvas.mni[1] < 0)
    dots = grain(shape, 0.6 / step, rng) > 3.3
    weight = np.maximum.reduce([veins * rng.uniform(0.4, 1), sinus, plexus * rng.uniform(0.2, 1), f[CHOROID]])
    weight = np.maximum(weight, 0.6 * dots * canvas.parenchyma)
    weight = np.clip(blur(weight, 0.5 / step), 0, 1)
    return image + weight * (bright - image)


def _own(canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, Contrast]:
    """A scan's own intensities through a random contrast curve, and its tissue means after it."""
    gamma = float(np.exp(rng.uniform(-0.25, 0.25)))
    image = 0.85 * np.clip(canvas.intensity, 0, None) ** gamma

    def mean(weights: np.ndarray, otherwise: float) -> float:
        inside = (weights > 0.6) & canvas.brain
        return float(np.median(image[inside])) if inside.sum() > 20 else otherwise

    white = mean(canvas.fractions[0], 0.8)
    gray = mean(canvas.fractions[1], 0.72 * white)
    pure = canvas.fractions[[LEFT, RIGHT, FLUID]].sum(axis=0)
    fluid = min(mean(np.where(pure > 0.85, pure, 0), 0.25 * white), 0.6 * gray)
    return image, Contrast(white, gray, fluid, 1.4 * white)


@dataclass
class Scanner:
    """What the scanner adds, the same for both images of a pair: field S, two channels of noise 2xS."""

    field: np.ndarray
    noise: np.ndarray
    parameters: dict

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Magnitude image with bias and Rician noise: √((s·b + n₁)² + n₂²) (Gudbjartsson & Patz 1995)."""
        return np.hypot(image * self.field + self.noise[0], self.noise[1])


def draw_scanner(canvas: Canvas, rng: np.random.Generator) -> Scanner:
    """Receive field of up to ±25 %, noise of 0.4 to 4.5 %, white or smoothed by the reconstruction."""
    shape, step = canvas.depth.shape, canvas.spacing
    amplitude = 0.22 * float(rng.uniform(0, 1)) ** 1.5
    field = smooth_noise(shape, float(rng.uniform(35, 80)) / step, rng)
    field = np.exp(amplitude * (field - field.mean()) / max(float(np.abs(field).max()), 1e-6)).astype(np.float32)
    own = canvas.parameters.get("kind") == "scan"
    sigma = float(np.exp(rng.uniform(np.log(0.002), np.log(0.012 if own else 0.025))))
    smooth = float(rng.choice([0.0, rng.uniform(0.4, 1.0)])) / step
    noise = np.stack([sigma * grain(shape, smooth, rng) for _ in range(2)])
    return Scanner(field, noise, {"bias": amplitude, "noise": sigma, "noise_blur_mm": smooth * step})

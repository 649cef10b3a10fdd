# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesions by another painter: signal is scaled and not replaced, the texture has every scale, edges are ramps."""

from __future__ import annotations

import numpy as np

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import Contrast
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.looks import LOOKS
from mededit_monai.space.shapes import depth_in, distance_to

#: Factor on the scan's own intensities in a part of a lesion, by its name, and how far it is drawn toward one level:
#: 0 leaves the tissue's pattern, 1 leaves none of it.
PARTS = {
    "lesion": ((0.35, 0.85), (0.1, 0.9)),
    "core": ((0.3, 0.65), (0.6, 1.0)),
    "edema": ((0.7, 0.92), (0.0, 0.4)),
    "enhancing": ((1.2, 1.8), (0.5, 1.0)),
}

#: Width of the ramp across a lesion's edge, mm, and exponent of the texture's power spectrum (Burgess, Med Phys 1999,
#: has 3 for the texture of tissue in projections).
RAMP_MM, EXPONENT = (0.8, 5.0), (1.5, 3.0)


def second_look(
    disease: Disease,
    image: np.ndarray,
    regions: np.ndarray,
    contrast: Contrast,
    spacing: float,
    rng: np.random.Generator,
) -> Drawn:
    """
    Part after part of a lesion: the scan times a factor, drawn toward one level, with a texture of power 1/fᵏ.

    Against a disease's own painter: no cavities, gliosis, strands, septa or blood are drawn; the sequence of levels is
    the same (a lesion and edema are dark, a core darker, a rim bright), their ranges are wider, and an edge is a
    straight ramp of up to 5 mm, half of it outside of the mask.

    Args:
        image: scan after the displacement, S; regions: uint8 S, not empty; spacing: mm of a grid step.
    """
    painted, ramp = image.astype(np.float32), float(rng.uniform(*RAMP_MM))
    rough, drawn = float(rng.uniform(0.03, 0.18)), {}
    texture = power_noise(image.shape, float(rng.uniform(*EXPONENT)), rng)
    span = contrast.white - contrast.fluid
    for name, factor, flat in _parts(disease, rng):
        label = disease.structures.index(name) + 1
        # Edema goes on under the tumour: what is painted on it later has its edge in edema, not in sound tissue.
        part = regions > 0 if name == "edema" else regions == label
        if not part.any():
            continue
        own = image * np.float32(factor)  # not what was painted before: a rim in edema is as bright as any
        level = np.median(own[part])
        value = own + np.float32(flat) * (level - own) + np.float32(rough * span) * texture
        share = np.clip(0.5 + (depth_in(part, spacing) - distance_to(part, spacing)) / ramp, 0, 1)
        painted = np.where(share > 0, painted + share * (np.maximum(value, 0) - painted), painted)
        drawn |= {f"{name}_factor": factor, f"{name}_flat": flat}
    return painted.astype(np.float32), drawn | {"ramp_mm": ramp, "rough": rough}


def _parts(disease: Disease, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Parts in the order in which they are painted, edema first; numbers are drawn for all, there or not."""
    order = sorted(disease.structures, key=lambda name: (name != "edema", disease.structures.index(name)))
    bounds = [PARTS.get(name, PARTS["lesion"]) for name in order]
    return [(name, *(float(rng.uniform(*one)) for one in both)) for name, both in zip(order, bounds)]


def power_noise(shape: tuple[int, ...], exponent: float, rng: np.random.Generator) -> np.ndarray:
    """White noise filtered to a power spectrum that falls as 1/fᵏ: rough at every scale; mean 0, s.d. 1, float32."""
    spectrum = np.fft.rfftn(rng.standard_normal(shape))
    axes = [np.fft.fftfreq(side) for side in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    frequency = np.sqrt(sum(axis**2 for axis in np.ix_(*axes)))
    frequency.flat[0] = np.inf  # no mean
    noise = np.fft.irfftn(spectrum * frequency ** (-exponent / 2), s=shape, axes=range(len(shape)))
    return (noise / max(float(noise.std()), 1e-12)).astype(np.float32)


LOOKS.add("second", second_look)

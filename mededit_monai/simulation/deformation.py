# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Smooth displacements in the plane: a person's own shape, and what a lesion does to the ventricle beside it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

#: Displacements below this (mm) are set to exactly zero, so that far tissue stays identical bit for bit.
NEGLIGIBLE_MM = 0.05


def warp(plane: np.ndarray, displacement: np.ndarray, order: int = 1) -> np.ndarray:
    """
    Pull a plane through a displacement: ``out(r) = plane(r + u(r))``.

    Args:
        plane: XxY.
        displacement: u in pixels, 2xXxY.
        order: 1 for intensities, 0 for labels.
    """
    grid = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in plane.shape), indexing="ij")
    coordinates = [g + u for g, u in zip(grid, displacement)]
    return ndimage.map_coordinates(plane, coordinates, order=order, mode="nearest")


def random_displacement(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """
    A person's shape: rotation, scaling, shear and two scales of smooth warp, in mm at 1 mm pixels.

    Returns:
        2xXxY displacement, a few mm, without folds (smoothing length ≥ 2 × amplitude).
    """
    centre = (np.asarray(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) - centre[:, None, None]
    angle = np.deg2rad(rng.uniform(-5, 5))
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.diag(rng.uniform(0.93, 1.1, 2)) + [[0, rng.uniform(-0.03, 0.03)], [0, 0]]
    displacement = np.einsum("ij,jxy->ixy", linear, grid) - grid
    for length, amplitude in ((26.0, rng.uniform(2, 7)), (11.0, rng.uniform(0.5, 2.5))):
        displacement += smooth_field((2, *shape), length, amplitude, rng)
    return displacement.astype(np.float32)


def expansion(mask: np.ndarray, amplitude: float, reach: float = 8.0) -> np.ndarray:
    """
    Enlarge (or, with a negative amplitude, shrink) a structure along the normals of its blurred outline.

    With B the mask blurred by ``reach``, u = amplitude · ∇B / max|∇B| points inward, so pulling through it grows the
    structure by up to ``amplitude`` mm at its wall. The second derivative of B is below max|∇B| / reach, hence the
    map does not fold for |amplitude| < reach.

    Returns:
        2xXxY displacement in mm; zero for an empty mask.
    """
    if abs(amplitude) >= reach:
        raise ValueError(f"amplitude {amplitude} mm would fold the tissue; it must stay below reach = {reach} mm.")
    slope = np.stack(np.gradient(ndimage.gaussian_filter(mask.astype(np.float32), reach)))
    steepest = np.sqrt((slope**2).sum(0)).max()
    return slope * (amplitude / steepest) if steepest > 0 else slope


def ex_vacuo(ventricles: np.ndarray, lesion: np.ndarray, gain: float, limit: float = 6.0) -> np.ndarray:
    """
    Ventricle enlargement after a stroke: the ventricle on the lesion's side grows toward the lesion.

    Args:
        ventricles: 0, 1 (left), 2 (right), XxY at 1 mm.
        lesion: binary, XxY, not empty.
        gain: mm of displacement per mm of √(lesion area).
        limit: largest displacement in mm.

    Returns:
        2xXxY displacement in mm, exactly zero far from the ventricle.
    """
    columns = np.arange(lesion.shape[0])
    centre_of = {side: np.argwhere(ventricles == side).mean(0) for side in (1, 2) if (ventricles == side).any()}
    if not centre_of:
        return np.zeros((2, *lesion.shape), np.float32)
    where = np.argwhere(lesion).mean(0)
    side = min(centre_of, key=lambda s: abs(centre_of[s][0] - where[0]))
    field = expansion(ventricles == side, min(limit, gain * float(np.sqrt(lesion.sum()))))
    # The wall that faces the lesion yields most; a distant lesion pulls less.
    distance = np.hypot(columns[:, None] - where[0], np.arange(lesion.shape[1])[None] - where[1])
    field = field * np.exp(-((distance / 55.0) ** 2))
    field[:, np.sqrt((field**2).sum(0)) < NEGLIGIBLE_MM] = 0
    return field.astype(np.float32)


def smooth_field(shape: tuple[int, ...], length: float, peak: float, rng: np.random.Generator) -> np.ndarray:
    """
    Random field that varies over ``length`` pixels on the last two axes, scaled to max |value| = ``peak``.

    Drawn on a grid of a quarter of ``length`` and enlarged: blurring white noise at full size costs ten times more.
    """
    step = max(1.0, length / 4)
    coarse_shape = [int(np.ceil(n / step)) + 1 for n in shape[-2:]]
    coarse = rng.standard_normal((*shape[:-2], *coarse_shape), dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, [0] * (len(shape) - 2) + [length / step] * 2, mode="wrap")
    size = tuple(shape[-2:])
    planes = torch.from_numpy(coarse).reshape(1, -1, *coarse_shape)
    field = torch.nn.functional.interpolate(planes, size=size, mode="bicubic")[0].numpy().reshape(shape)
    return (field * (peak / np.abs(field).max())).astype(np.float32)

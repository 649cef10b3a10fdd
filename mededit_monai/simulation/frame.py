# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From the grid a case is drawn on to the model's: its window, its pixels, its masks and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import TISSUE_LABELS
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.model_size import MODEL_DEPTH, MODEL_SIZE
from mededit_monai.space.model_space import shrunk_mask

#: Grid of a 3-D case, points of the model's pixel size along x, y, z.
VOLUME_SHAPE = (MODEL_SIZE, MODEL_SIZE, MODEL_DEPTH)

#: Whatever moves, moves by this much at least: files hold whole multiples of it, and 0 there is to mean 0.
STEP_MM = 0.001


def to_model(
    disease: Disease, planes: dict[str, np.ndarray], pull: np.ndarray, lesion: np.ndarray, jitter: np.ndarray
) -> dict:
    """
    Bring a canvas into the model's window and to its pixels.

    Args:
        planes: by name, S each: ``prior``, ``image``, ``brain``, ``reached``; ``left``, ``right`` and the names of
            ``TISSUE_LABELS``, each also with ``_after``; ``region_1``, … of those there are.
        pull: displacement in mm, nxS.
        lesion: bool S.
        jitter: moves it in the window by so many points an axis.
    """
    volume = lesion.ndim == 3
    window = VOLUME_SHAPE if volume else (disease.points,) * 2
    if volume:  # no pixel changes, so all is worked out before it is placed: a third of the window, in small types
        at, put = planes, lambda array: place(array, window, jitter)
        middle = int(at["brain"].sum(axis=(0, 1)).argmax())
        shown = place(at["prior"][..., middle], window[:2], jitter[:2])
    else:
        at, put = _shrunk(planes, window, jitter), lambda array: array
        shown = place(planes["prior"], window, jitter)
    ceiling = intensity_ceiling(shown, disease.percentile)
    brain = at["brain"] >= 0.5
    if volume:
        pathology = lesion & brain
    else:
        pathology = shrunk_mask(place(lesion.astype(np.float32), window, jitter)) & brain
    case = {"brain": brain, "pathology": pathology, "reached": at["reached"] > 0}
    for name in ("prior", "image"):
        case[name] = to_unit(at[name], ceiling) * brain
    for key, suffix in (("prior_ventricles", ""), ("ventricles", "_after")):
        case[key] = ((at["left" + suffix] >= 0.5) + np.uint8(2) * (at["right" + suffix] >= 0.5)).clip(0, 2)
    case["prior_tissue"] = _tissue(at, "", brain & (case["prior_ventricles"] == 0))
    case["tissue"] = _tissue(at, "_after", brain & (case["ventricles"] == 0) & ~pathology)
    if disease.labels:
        case["regions"] = _regions(at, pathology)
    case = {key: put(array) for key, array in case.items()}
    return case | {"prior_brain": case["brain"], "displacement": placed_pull(disease, pull, jitter)}


def placed_pull(disease: Disease, pull: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """A canvas's displacement (mm, nxS) on the model's grid, 3x…; the third component of a slice is 0."""
    if len(pull) == 3:
        return np.stack([place(_away_from_zero(component), VOLUME_SHAPE, jitter) for component in pull])
    small = _shrunk(dict(enumerate(pull)), (disease.points,) * 2, jitter)
    return np.stack([*(_away_from_zero(component) for component in small.values()), np.zeros_like(small[0])])


def _shrunk(planes: dict[Any, np.ndarray], window: tuple[int, ...], jitter: np.ndarray) -> dict[Any, np.ndarray]:
    """The planes of a slice in its window, averaged to the model's pixels; float32."""
    stack = np.stack([place(np.asarray(plane, np.float32), window, jitter) for plane in planes.values()])
    small = torch.nn.functional.interpolate(
        torch.from_numpy(stack)[None], size=(MODEL_SIZE,) * 2, mode="bilinear", antialias=True
    )
    return dict(zip(planes, small[0].numpy()))


def _tissue(at: dict[str, np.ndarray], suffix: str, where: np.ndarray) -> np.ndarray:
    """The largest of the tissues' shares as a label; 0 outside ``where`` and where vessels and the like have more."""
    largest, rest = np.zeros(where.shape, np.float32), 1 - at["left" + suffix] - at["right" + suffix]
    label = np.zeros(where.shape, np.uint8)
    for number, name in enumerate(TISSUE_LABELS, start=1):
        share = at[name + suffix]
        label[share > largest] = number
        largest = np.maximum(largest, share)
        rest = rest - share
    return np.where(where & (largest > rest), label, 0).astype(np.uint8)


def _regions(at: dict[str, np.ndarray], pathology: np.ndarray) -> np.ndarray:
    """Labels of a lesion's parts: the one with the largest share."""
    labels = [name for name in at if name.startswith("region_")]
    share = np.stack([at[name] for name in labels])
    which = np.array([int(name.removeprefix("region_")) for name in labels], np.uint8)[share.argmax(axis=0)]
    return np.where(pathology, which, 0).astype(np.uint8)


def _away_from_zero(component: np.ndarray) -> np.ndarray:
    """A component of a displacement in mm, float32, at least ``STEP_MM`` where it is not 0."""
    small = (component != 0) & (np.abs(component) < STEP_MM)
    return np.where(small, np.copysign(np.float32(STEP_MM), component), component).astype(np.float32)


def place(plane: np.ndarray, window: tuple[int, ...], jitter: np.ndarray) -> np.ndarray:
    """Put a canvas S into the middle of a window (cropped, or padded with zeros), moved by whole points."""
    placed = np.zeros(window, plane.dtype, order="F")  # as files hold it
    source, target = [], []
    for size, room, shift in zip(plane.shape, window, jitter):
        start = (room - size) // 2
        start += int(np.clip(shift, -max(start, 0), max(start, 0)))
        source.append(slice(max(0, -start), min(size, room - start)))
        target.append(slice(max(0, start), max(0, start) + min(size, room - start) - max(0, -start)))
    placed[tuple(target)] = plane[tuple(source)]
    return placed

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
One simulated pair: a person, a lesion, its indirect effects, and the scan with and without it; 2-D or 3-D.

Both images share anatomy, contrast, texture, field and noise. They differ where the lesion is and where it displaces
tissue, and nowhere else by a single bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage

from mededit_monai.diseases import Disease
from mededit_monai.diseases.canvas import TISSUE_LABELS, Canvas
from mededit_monai.diseases.record import Drawn
from mededit_monai.simulation.appearance import draw_scanner, paint_tissue
from mededit_monai.simulation.flow import exponentiate, jacobian, warp
from mededit_monai.simulation.person import draw_person
from mededit_monai.simulation.prepared import PreparedAnatomy
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.model_space import MODEL_DEPTH, MODEL_SIZE, shrunk_mask
from mededit_monai.space.shapes import around, tidy

#: Grid of a 3-D case, points of the model's pixel size along x, y, z.
VOLUME_SHAPE = (MODEL_SIZE, MODEL_SIZE, MODEL_DEPTH)

#: A displacement whose smallest Jacobian is below this is halved until it is not: on a grid, even a flow can fold.
SMALLEST_JACOBIAN = 0.02

#: What a lesion looks like ends this many mm from it.
REACH_MM = 6

#: (canvas, rng) → the lesion to put there, uint8 S.
MakeLesion = Callable[[Canvas, np.random.Generator], Drawn]


def simulate_pair(
    disease: Disease,
    anatomy: PreparedAnatomy,
    height: float | None,
    make_lesion: MakeLesion,
    rng: np.random.Generator,
    wide: bool = True,
) -> dict | None:
    """
    Simulate one pair on the model's grid.

    Args:
        height: MNI z (mm) of the slice; None for a volume (128x128x112 at the model's pixel size).
        make_lesion: draws the lesion on the person's canvas.
        wide: heads tilted as in scanners; False for registered data.

    Returns:
        None if the lesion came out empty, else ``image``, ``prior`` (float32 in [0, 1]), ``brain``, ``prior_brain``,
        ``pathology``, ``reached`` (what may differ between the two; bool), ``ventricles``, ``prior_ventricles`` (uint8,
        1 left and 2 right), ``tissue``, ``prior_tissue`` (uint8, 1 fluid, 2 gray and 3 white matter; 0 in lateral
        ventricles, vessels and lesion, and outside the brain), ``displacement`` (3x…, mm RAS: image(r) shows
        prior(r + u(r))), ``regions`` (uint8) if the disease has labels, and ``parameters``.
    """
    spacing = disease.window / disease.points if height is not None else disease.pixel_mm
    limit = disease.points if height is not None else VOLUME_SHAPE[0]
    canvas = draw_person(anatomy, height, spacing, limit, rng, wide)
    lesion, drawn = make_lesion(canvas, rng)
    if not lesion.any():
        return None
    velocity, effect = disease.lesion_velocity(canvas, lesion, rng)
    pull = exponentiate(velocity)
    smallest = float(jacobian(pull).min())
    while smallest < SMALLEST_JACOBIAN:
        velocity = velocity / 2
        pull = exponentiate(velocity)
        smallest = float(jacobian(pull).min())
    before = np.concatenate([canvas.ventricles, canvas.tissue])
    after = warp(before, pull)
    free = (after[:2].sum(axis=0) < 0.5) & canvas.brain
    kept = tidy((lesion > 0) & free, ndimage.binary_erosion(canvas.brain, iterations=2))
    regions = np.where(kept, lesion, 0).astype(np.uint8)
    if not regions.any():
        return None
    clean, contrast, looks = paint_tissue(canvas, disease.gadolinium, rng)
    displaced = warp(clean[None], pull)[0]
    painted, near = displaced.copy(), around(regions > 0, int(np.ceil(REACH_MM / spacing)))
    painted[near], texture = disease.paint_lesion(displaced[near], regions[near], contrast, spacing, rng)
    scanner = draw_scanner(canvas, rng)
    planes = {
        "prior": scanner(clean) * canvas.brain,
        "image": scanner(painted) * canvas.brain,
        "brain": canvas.brain,
        "left": before[0] >= 0.5,
        "right": before[1] >= 0.5,
        "left_after": after[0] >= 0.5,
        "right_after": after[1] >= 0.5,
        "reached": (pull != 0).any(axis=0) | (painted != displaced),
    }
    for k, name in enumerate(TISSUE_LABELS, start=2):
        planes |= {name: before[k], f"{name}_after": after[k]}
    planes |= {f"pull_{'xyz'[k]}": pull[k] * spacing for k in range(len(pull))}
    planes |= {f"region_{k}": regions == k for k in np.unique(regions) if k}
    jitter = rng.integers(-3, 4, clean.ndim)
    case = _to_model(disease, planes, regions > 0, jitter)
    if not case["pathology"].any():
        return None
    area = int(case["pathology"].sum())
    middle = np.abs(canvas.mni[0]) < 1
    case["parameters"] = {
        "disease": disease.name,
        **canvas.parameters,
        **drawn,
        **effect,
        "largest_displacement_mm": float(np.sqrt((pull**2).sum(axis=0)).max() * spacing),
        "midline_shift_mm": float(np.abs(pull[0][middle]).max(initial=0.0) * spacing),
        "jacobian_min": smallest,
        "appearance": looks,
        "scanner": scanner.parameters,
        "lesion_appearance": texture,
        "size_px": area,
        "stratum": disease.stratum_of(area) if height is not None else None,
    }
    return case


def _to_model(disease: Disease, planes: dict[str, np.ndarray], lesion: np.ndarray, jitter: np.ndarray) -> dict:
    """Bring a canvas into the model's window and to its pixels."""
    volume = lesion.ndim == 3
    window = VOLUME_SHAPE if volume else (disease.points,) * 2
    names = list(planes)
    stack = _place(np.stack([np.asarray(planes[n], dtype=np.float32) for n in names]), window, jitter)
    at = {name: stack[k] for k, name in enumerate(names)}
    middle = at["prior"][..., int(at["brain"].sum(axis=(0, 1)).argmax())] if volume else at["prior"]
    ceiling = intensity_ceiling(middle, disease.percentile)
    for name in ("prior", "image"):
        at[name][...] = to_unit(at[name], ceiling)
    if volume:
        pathology = at["brain"] * _place(lesion[None], window, jitter)[0] > 0
    else:
        small = torch.nn.functional.interpolate(
            torch.from_numpy(stack)[None], size=(MODEL_SIZE,) * 2, mode="bilinear", antialias=True
        )[0].numpy()
        at = {name: small[k] for k, name in enumerate(names)}
        pathology = shrunk_mask(_place(lesion[None].astype(np.float32), window, jitter)[0]) & (at["brain"] >= 0.5)
    brain = at["brain"] >= 0.5
    case = {"brain": brain, "prior_brain": brain, "pathology": pathology, "reached": at["reached"] > 0}
    for name in ("prior", "image"):
        case[name] = np.clip(at[name] * brain, 0, 1)
    for key, suffix in (("prior_ventricles", ""), ("ventricles", "_after")):
        case[key] = ((at["left" + suffix] >= 0.5) + 2 * (at["right" + suffix] >= 0.5)).clip(0, 2).astype(np.uint8)
    case["prior_tissue"] = _tissue(at, "", brain & (case["prior_ventricles"] == 0))
    case["tissue"] = _tissue(at, "_after", brain & (case["ventricles"] == 0) & ~pathology)
    pull = np.stack([at[n] for n in names if n.startswith("pull_")])
    case["displacement"] = pull if volume else np.concatenate([pull, np.zeros_like(pull[:1])])
    if disease.labels:
        labels = [n for n in names if n.startswith("region_")]
        share = np.stack([at[n] for n in labels])
        which = np.array([int(n.removeprefix("region_")) for n in labels], np.uint8)[share.argmax(axis=0)]
        case["regions"] = np.where(pathology, which, 0).astype(np.uint8)
    return case


def _tissue(at: dict[str, np.ndarray], suffix: str, where: np.ndarray) -> np.ndarray:
    """The largest of the tissues' shares as a label; 0 outside ``where`` and where vessels and the like have more."""
    shares = np.stack([at[name + suffix] for name in TISSUE_LABELS])
    rest = 1 - shares.sum(axis=0) - at["left" + suffix] - at["right" + suffix]
    return np.where(where & (shares.max(axis=0) > rest), shares.argmax(axis=0) + 1, 0).astype(np.uint8)


def _place(stack: np.ndarray, window: tuple[int, ...], jitter: np.ndarray) -> np.ndarray:
    """Put canvases CxS into the middle of a window (cropped or zero-padded), moved by whole points."""
    placed = np.zeros((len(stack), *window), dtype=np.float32)
    source, target = [slice(None)], [slice(None)]
    for size, room, shift in zip(stack.shape[1:], window, jitter):
        start = (room - size) // 2
        start += int(np.clip(shift, -max(start, 0), max(start, 0)))
        source.append(slice(max(0, -start), min(size, room - start)))
        target.append(slice(max(0, start), max(0, start) + min(size, room - start) - max(0, -start)))
    placed[tuple(target)] = stack[tuple(source)]
    return placed

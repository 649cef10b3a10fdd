# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A cohort of small heads, slices or volumes, whose right ventricle widens toward a lesion by a known displacement."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from mededit_monai.io.displacement import write_displacement
from mededit_monai.methods.build import effects_network
from mededit_monai.methods.record import METHODS
from mededit_monai.networks import MaskConditionedUNet, PaintNetwork, save_weights
from mededit_monai.space.flow import exponentiate, warp

SIZE, PIXEL_MM = 32, 233 / 128

#: Of the thesis's network in the tests; the painter is as large and attends to nothing.
SIZES = {"channels": [8, 8, 8, 16], "norm_num_groups": 4, "num_head_channels": 8}
ATTENTION = [False, False, False, True]


def moved_case(dims: int, rng: np.random.Generator, gain: float) -> dict[str, np.ndarray]:
    """One pair; ``displacement`` is in grid steps, 0 away from the ventricle's wall."""
    x = np.stack(np.meshgrid(*(np.arange(SIZE) - (SIZE - 1) / 2,) * dims, indexing="ij"))
    away = np.sqrt((x**2).sum(axis=0))
    brain = away < 14
    centre = np.zeros(dims)
    centre[0] = 4
    at = x - centre.reshape(-1, *[1] * dims)
    right = np.sqrt((at**2).sum(axis=0)) < 2.5
    left = right[::-1]
    clean = np.select([left | right, away > 13, away > 11], [0.15, 0.15, 0.55], 0.8)
    prior = (clean + 0.02 * rng.standard_normal(brain.shape)) * brain
    bump = np.exp(-((at[0] - 1.5) ** 2 + (at[1:] ** 2).sum(axis=0)) / 8)
    velocity = np.zeros((dims, *brain.shape), np.float32)
    velocity[0] = -gain * np.where(bump > 0.05, bump, 0)
    steps = exponentiate(velocity)
    lesion = (np.abs(x[0] - 9) < 2) & (np.abs(x[1:]) < rng.uniform(2, 4)).all(axis=0) & brain
    moved = warp(prior[None].astype(np.float32), steps)[0]
    image = np.where(lesion, 0.35 + 0.05 * rng.standard_normal(brain.shape), moved) * brain
    labels = left + 2 * right
    after = (warp(left[None].astype(np.float32), steps)[0] >= 0.5) + 2 * (
        warp(right[None].astype(np.float32), steps)[0] >= 0.5
    )
    found = {"image": image.clip(0, 1), "prior": prior.clip(0, 1), "brain": brain, "prior_brain": brain}
    found |= {"pathology": lesion, "prior_ventricles": labels, "ventricles": np.where(lesion, 0, after)}
    return found | {"displacement": steps}


def write_moved_cohort(folder: Path, dims: int, counts: tuple[int, int, int] = (6, 2, 6)) -> Path:
    """Write a cohort with the layout of ``mededit simulate``; the widening differs from case to case."""
    rng, lists = np.random.default_rng(0), {}
    ending = "nii" if dims == 2 else "nii.gz"
    affine = np.diag([PIXEL_MM, PIXEL_MM, 1.0 if dims == 2 else PIXEL_MM, 1.0])
    for split, count in zip(("training", "validation", "testing"), counts):
        lists[split] = []
        for k in range(count):
            name = f"{split}_{k:05d}"
            (folder / name).mkdir(parents=True)
            entry = {"case_id": name, "split": split, "anatomy": f"{split}_brain_{k % 3}", "global_atrophy": 0.0}
            entry |= {"patient": f"{split}_{k}", "stratum": ("small", "medium", "large")[k % 3]}
            for key, plane in moved_case(dims, rng, 0.5 + 0.5 * k).items():
                place = folder / name / f"{key}.{ending}"
                entry[key] = f"{name}/{place.name}"
                if key == "displacement":
                    write_displacement(place, plane * PIXEL_MM, affine, 0.001)
                    continue
                array = plane.astype(np.float32 if key in ("image", "prior") else np.uint8)
                nib.save(nib.Nifti1Image(array[..., None] if dims == 2 else array, affine), place)
            lists[split].append(entry)
    recipe = {"disease": "stroke", "spatial_dims": dims}
    (folder / "datalist.json").write_text(json.dumps({"recipe": recipe, "synthetic": True, **lists}))
    return folder


def save_moving_weights(bundle: Path, dims: int) -> None:
    """Weights of all networks that do something, though nothing sensible."""
    torch.manual_seed(1)
    painter = SIZES | METHODS["morph"].network.size[dims] | {"spatial_dims": dims}
    ending = "" if dims == 2 else "_3d"
    files = {
        "model.pt": (MaskConditionedUNet(attention_levels=ATTENTION, **SIZES), 0.1),
        f"paint{ending}.pt": (PaintNetwork(in_channels=8, **painter), 0.1),
        f"effects{ending}.pt": (effects_network(dims, PIXEL_MM), 0.03),
    }
    for name, (network, size) in files.items():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=size)
        if name.startswith("effects"):  # the last layer, behind which nothing but a Gaussian comes: some mm
            torch.nn.init.normal_(network.unet.out[-1].conv.weight, std=1.8)
        save_weights(network, bundle / "models" / name)

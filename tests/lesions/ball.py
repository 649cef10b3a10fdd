# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A ball for a brain, around (0, -20, 20) mm, with a box of fluid high up in its middle; stored in any orientation."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

CENTRE, RADIUS, STEP, SIDE = np.array([0.0, -20.0, 20.0]), 52.0, 3.0, 38

#: Half the sides of the box of fluid, whose middle is 15 mm above the ball's.
FLUID = np.array([12.0, 12.0, 5.0])


def affine() -> np.ndarray:
    """Voxel → mm, RAS."""
    found = np.diag([STEP, STEP, STEP, 1.0])
    found[:3, 3] = CENTRE - (SIDE - 1) / 2 * STEP
    return found


def points() -> np.ndarray:
    """mm of every voxel, XxYxZx3."""
    return np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1) * STEP + affine()[:3, 3]


def in_fluid() -> np.ndarray:
    """Voxels of the box, bool."""
    return (np.abs(points() - CENTRE - [0, 0, 15]) < FLUID).all(axis=-1)


def write_ball(folder: Path, axcodes: str = "RAS", moved: np.ndarray | None = None) -> Path:
    """``ball.nii.gz`` in a folder; ``moved``: 4x4 that its world is moved by."""
    distance = np.linalg.norm(points() - CENTRE, axis=-1)
    # White inside, gray from 40 mm on, fluid in the box.
    data = np.select([distance > RADIUS, in_fluid(), distance > 40], [0, 150, 550], 800)
    return write(
        folder / "ball.nii.gz", data.astype(np.int16), affine() if moved is None else moved @ affine(), axcodes
    )


def write(path: Path, data: np.ndarray, to_world: np.ndarray, axcodes: str = "RAS") -> Path:
    """An image stored in an orientation, with both transforms set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, to_world)
    image = image.as_reoriented(ornt_transform(io_orientation(to_world), axcodes2ornt(axcodes)))
    image.set_sform(image.affine, code=2)
    image.set_qform(image.affine, code=1)
    nib.save(image, path)
    return path


def millimetres(path: Path) -> np.ndarray:
    """World mm (RAS) of a mask's voxels, Nx3."""
    image = nib.load(path)
    return np.argwhere(np.asarray(image.dataobj) > 0) @ image.affine[:3, :3].T + image.affine[:3, 3]


def box_mask(path: Path, middle: tuple[float, float, float], side: int, step: float = 1.0) -> Path:
    """A cube as a mask in mm: ``side`` voxels a side, in a grid with a margin of 3."""
    to_world = np.diag([step, step, step, 1.0])
    to_world[:3, 3] = np.array(middle) - (side + 5) / 2 * step
    data = np.zeros([side + 6] * 3, np.uint8)
    data[3:-3, 3:-3, 3:-3] = 1
    return write(path, data, to_world)

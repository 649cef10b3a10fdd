# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An upright copy shows the same places of the world, and nothing of a mask is lost on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.upright import Upright

SHAPE, AFFINE = (50, 60, 40), np.array([[2.0, 0, 0, -50], [0, 2, 0, -60], [0, 0, 2.5, -45], [0, 0, 0, 1]])


def made(degrees=(20.0, -15.0, 10.0)) -> tuple[Volume, np.ndarray, Upright]:
    """A scan whose intensity is 500 + 2 x + y - 3 z mm, its brain, and the grid of a copy."""
    world = AFFINE[:3, :3] @ np.indices(SHAPE).reshape(3, -1) + AFFINE[:3, 3:]
    data = (500 + np.array([2.0, 1, -3]) @ world).reshape(SHAPE).astype(np.float32)
    brain = ((world / np.array([[34.0], [42], [30]])) ** 2).sum(axis=0).reshape(SHAPE) < 1
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), (3, -4, 5)
    scan = Volume(Path("scan.nii.gz"), data, AFFINE, AFFINE, SHAPE)
    return scan, brain, Upright(scan, brain, pose)


def test_intensities():
    scan, brain, upright = made()
    copy = upright.volume(scan.data)
    inside = upright.mask(brain)
    world = copy.affine[:3, :3] @ np.argwhere(inside).T + copy.affine[:3, 3:]
    assert np.allclose(copy.spacing, 2) and copy.data.shape == inside.shape == upright.shape
    assert np.abs(copy.data[inside] - (500 + np.array([2.0, 1, -3]) @ world)).max() < 1e-2
    sizes = [float(mask.sum() * abs(np.linalg.det(a[:3, :3]))) for mask, a in ((inside, copy.affine), (brain, AFFINE))]
    assert abs(sizes[0] / sizes[1] - 1) < 0.01  # all of the brain is there
    faces = [inside.take(end, axis) for axis in range(3) for end in (0, -1)]
    assert not any(face.any() for face in faces)


def test_small_pieces_and_labels():
    scan, brain, upright = made()
    mask = np.zeros(SHAPE, bool)
    mask[20, 30, 20] = mask[30, 35, 22] = True  # single voxels, which need not cover half of another
    there = np.argwhere(upright.mask(mask)) @ upright.affine[:3, :3].T + upright.affine[:3, 3]
    for place in np.argwhere(mask) @ AFFINE[:3, :3].T + AFFINE[:3, 3]:
        assert np.linalg.norm(there - place, axis=1).min() < 2
    labels = np.where(np.indices(SHAPE)[0] < 25, 1, 3) * brain
    found = upright.labels(labels)
    x = (np.argwhere(found > 0) @ upright.affine[:3, :3].T + upright.affine[:3, 3])[:, 0]
    assert set(np.unique(found)) == {0, 1, 3}
    assert ((x < -1) == (found[found > 0] == 1))[np.abs(x + 1) > 2].all()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A displaced scan in its slices: moved inside the brain alone, and painted on."""

from __future__ import annotations

import numpy as np
import pytest
from space.native_heads import moved_head

from mededit_monai.io.nifti import NativeCopy
from mededit_monai.space.native_flow import NativeFlow
from mededit_monai.space.restore import DisplacedScan, restore

SHAPE = (20, 22, 12)


def shifted(brain: np.ndarray) -> tuple[np.ndarray, DisplacedScan]:
    """An image, and it with everything in a box taken from 2 voxels to the right."""
    image = np.random.default_rng(0).uniform(10, 900, SHAPE).astype(np.float32)
    steps = np.zeros((3, 6, 7, 4), np.float32)
    steps[0] = 2
    return image, DisplacedScan.of(image, NativeFlow(steps, (4, 5, 3), SHAPE, np.eye(4)), brain)


def test_slices_of_a_displaced_scan():
    image, displaced = shifted(np.ones(SHAPE, bool))
    assert displaced.slices == [3, 4, 5, 6]
    for z in range(SHAPE[2]):
        before = image[:, :, z].astype(float)
        after, moved = displaced.on_slice(before, z)
        wanted = np.zeros(SHAPE[:2], bool)
        wanted[4:10, 5:12] = 3 <= z < 7
        assert np.array_equal(moved, wanted) and np.array_equal(after[~moved], before[~moved])
        assert np.abs(after[4:10, 5:12] - (before[6:12, 5:12] if 3 <= z < 7 else before[4:10, 5:12])).max() < 0.1
        assert np.array_equal(before, image[:, :, z])  # what was given is not touched


def test_nothing_moves_outside_the_brain():
    brain = np.zeros(SHAPE, bool)
    brain[:7], brain[:, :, 5] = True, False
    image, displaced = shifted(brain)
    assert displaced.slices == [3, 4, 6]
    for z in range(SHAPE[2]):
        before = image[:, :, z].astype(float)
        after, moved = displaced.on_slice(before, z)
        assert not moved[~brain[:, :, z]].any() and np.array_equal(after[~brain[:, :, z]], before[~brain[:, :, z]])
        assert moved.sum() == (21 if z in (3, 4, 6) else 0)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("mode", ["residual", "replace"])
def test_texture_that_moved_is_kept_and_paint_replaces(tmp_path, mode):
    """Paint of ``replace`` is the model's level; tissue that only moved is the scan's, in either mode."""
    head = moved_head(tmp_path, dtype=np.float32)
    flow, _ = head.flows()
    displaced = DisplacedScan.of(head.scan.data, flow, head.brain)
    prior = head.space.to_model(head.scan.data / 900) * head.space.to_model(head.brain, "brain")
    painted = np.zeros(prior.shape, bool)
    painted[0, 70:76, 60:66, 50:60] = True
    edit = np.where(painted, 0.1, prior)
    copy = NativeCopy(head.scan)
    found = restore(copy, head.brain, head.space, [900.0], prior, edit, painted, mode, displaced)
    after, reached = copy.values(), head.space.to_native(painted.astype(np.float32), head.brain.shape)
    wanted = head.scan.data.copy()
    wanted[flow.box][displaced.moved] = displaced.values[displaced.moved]
    assert np.abs(after - wanted)[reached == 0].max() < 1e-3 and (wanted != head.scan.data)[reached == 0].any()
    assert found.region[(reached > 0) & head.brain | (wanted != head.scan.data)].all()
    if mode == "replace":
        assert np.abs(after[(reached > 0.999) & head.brain] - 90).max() < 1e-2
    assert found.changed == (after != head.scan.data).sum()

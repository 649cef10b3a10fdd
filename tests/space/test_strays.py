# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A voxel astray does not say where the brain is, and what the model's window leaves out is said."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.lesions.tissue import tissue_of
from mededit_monai.simulation.anatomies import split_sides
from mededit_monai.simulation.prepared import prepare
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.shapes import bounding_box, main_box
from mededit_monai.space.to_model import ToModelSpaced

SHAPE, BOX = (80, 90, 40), np.s_[45:75, 40:80, 8:30]


def brain_of(*strays: tuple[int, int, int]) -> np.ndarray:
    brain = np.zeros(SHAPE, bool)
    brain[BOX] = True
    for one in strays:
        brain[one] = True
    return brain


def case_of(brain: np.ndarray, lesion: np.ndarray) -> dict:
    data = np.where(brain, 100, 0).astype(np.float32)
    data[50:60] *= 0.7
    scan = Volume("T1.nii.gz", data, np.eye(4), np.eye(4), SHAPE)
    return {"scan": scan, "brain": brain, "pathology": lesion}


def test_one_voxel_astray_does_not_move_the_box():
    alone = brain_of()
    assert np.array_equal(main_box(alone), bounding_box(alone))
    assert np.array_equal(main_box(brain_of((2, 3, 39))), bounding_box(alone))
    assert np.array_equal(main_box(brain_of((2, 3, 39))[:, :, 10]), bounding_box(alone[:, :, 10]))


def test_halves_of_a_brain_that_do_not_touch_both_count():
    """Hemispheres in a slab, and the poles of the temporal lobes beside a cerebellum."""
    halves = np.zeros((60, 60, 6), bool)
    halves[5:25, 10:50] = halves[27:47, 10:50] = halves[50:53, 5:25] = True
    assert np.array_equal(main_box(halves), bounding_box(halves))


@pytest.mark.parametrize("depth", [None, 40])
def test_one_voxel_astray_does_not_move_the_window(depth):
    spaces = [
        ModelSpace.around_brain(brain, np.eye(4), 64, 64, depth)
        for brain in (brain_of(), brain_of((1, 1, 0), (79, 0, 1)))
    ]
    assert spaces[0].start == spaces[1].start == (28, 28)
    assert np.array_equal(spaces[0].heights, spaces[1].heights)
    assert [space.outside(brain_of()) for space in spaces] == [0, 0]


@pytest.mark.parametrize("more", [{"slice_index": "all"}, {"spatial_dims": 3, "depth": 40}], ids=["slices", "volume"])
def test_what_the_window_leaves_out_is_said(more):
    lesion = np.zeros(SHAPE, bool)
    lesion[50:56, 50:56, 12:18] = True
    settings = {"window": 64, "size": 64, "dilation": 5, **more}
    found = ToModelSpaced(**settings)(case_of(brain_of(), lesion))
    assert not found.get("warnings")
    stray = brain_of((1, 1, 14), (1, 1, 15))
    both = lesion.copy()
    both[1, 1, 14] = True
    astray = ToModelSpaced(**settings)(case_of(stray, both))
    said = [sentence.split(" lie ")[0] for sentence in astray["warnings"]]
    assert said == ["2 of the 26402 voxels of the brain", "1 of the 217 voxels of the lesion"]
    for key in ("image", "brain", "pathology", "region"):
        assert np.array_equal(found[key], astray[key]), key
    alone = both & ~lesion
    with pytest.raises(InputError, match="edit region is empty in .*1 of the 1 voxels of the lesion lie outside the"):
        ToModelSpaced(**settings)(case_of(stray, alone))


@pytest.mark.parametrize("depth", [None, 16])
def test_outside_counts_the_voxels_beyond_the_window(depth):
    """A window of 32 mm on a brain of 30 x 40 x 22 mm: 8 rows of y are out, of a volume z is cut too."""
    space = ModelSpace.around_brain(brain_of(), np.eye(4), 32, 32, depth)
    within = 30 * 32 * (22 if depth is None else depth)
    assert space.outside(brain_of()) == 30 * 40 * 22 - within


def test_what_is_on_the_models_grid_is_all_inside():
    pixel = 233 / 128
    space = ModelSpace.around_brain(np.ones((128, 128, 9), bool), np.diag([pixel, pixel, 4, 1]))
    assert space.is_model_space and space.outside(np.ones((128, 128, 9), bool)) == 0


def test_a_brains_middle_and_lower_end_are_its_own():
    """Sides of ventricles, MNI space and the tissue around a lesion go by the same box."""
    lateral = np.zeros(SHAPE, np.uint8)
    lateral[55:66, 50:55, 15:20] = 1
    stray = brain_of((0, 0, 0))
    assert np.array_equal(split_sides(lateral, stray), split_sides(lateral, brain_of()))
    whole, astray = (prepare("a", "scan", np.zeros((*SHAPE, 14)), brain) for brain in (brain_of(), stray))
    assert np.array_equal(whole.mni_scale, astray.mni_scale) and np.array_equal(whole.box, astray.box)
    tissues = [tissue_of(case_of(brain, brain)["scan"], brain) for brain in (brain_of(), stray)]
    assert np.array_equal(tissues[0].affine, tissues[1].affine)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded template: sides, volumes and tissues, against what is known of the ICBM 152 head."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.simulation.anatomy import icbm152


@pytest.fixture(scope="module")
def anatomy():
    return icbm152()


def test_template_is_loaded_once(anatomy):
    assert icbm152() is anatomy and anatomy.name == "icbm152"


def test_grid_of_the_template(anatomy):
    """1 mm RAS; the anterior commissure, world (0, 0, 0), is voxel (98, 134, 72)."""
    assert np.array_equal(anatomy.affine @ [98, 134, 72, 1], [0, 0, 0, 1])
    assert np.array_equal(anatomy.affine[:3, :3], np.eye(3))
    volumes = (anatomy.t1, anatomy.gray, anatomy.white, anatomy.brain, anatomy.ventricles)
    assert {v.shape for v in volumes} == {(197, 233, 189)}


def test_ventricles_lie_on_their_sides(anatomy):
    """Lateral ventricles: 17 ml in all, halves alike, 1 at negative x (left) and 2 from the midline on."""
    left, right = ((np.argwhere(anatomy.ventricles == side) @ anatomy.affine[:3, :3]) for side in (1, 2))
    left, right = (points + anatomy.affine[:3, 3] for points in (left, right))
    assert left[:, 0].max() < 0 <= right[:, 0].min()
    assert len(left) + len(right) == pytest.approx(17_000, rel=0.05)
    assert len(left) == pytest.approx(len(right), rel=0.05)
    assert left.mean(0) * [-1, 1, 1] == pytest.approx(right.mean(0), abs=1.0)
    assert set(np.unique(anatomy.ventricles)) == {0, 1, 2}


def test_ventricles_hold_fluid(anatomy):
    inside = anatomy.ventricles > 0
    assert anatomy.brain[inside].all()
    assert (anatomy.gray + anatomy.white)[inside].mean() < 0.2
    white, gray = (np.median(anatomy.t1[tissue > 0.9]) for tissue in (anatomy.white, anatomy.gray))
    assert np.median(anatomy.t1[inside]) < 0.6 * gray < 0.6 * white


def test_tissue_is_probability_inside_the_brain(anatomy):
    for volume in (anatomy.gray, anatomy.white, anatomy.t1):
        assert volume.min() >= 0 and 0.9 < volume.max() <= 1
    assert not anatomy.t1[~anatomy.brain].any()
    assert (anatomy.gray + anatomy.white).max() < 1.01
    assert 1.5e6 < anatomy.brain.sum() < 2.1e6  # mm³

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Persons of one anatomy: how they differ, ventricles from slits to markedly enlarged, maps that do not fold."""

from __future__ import annotations

import numpy as np
import pytest
from simulation.small_brains import label_array, save

from mededit_monai.diseases.canvas import LEFT, RIGHT, TISSUES
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.person import draw_person
from mededit_monai.simulation.prepared import depth_code, depth_mm
from mededit_monai.simulation.ventricle_size import GRID_MM, SIZES, VentricleSizes
from mededit_monai.space.fields import enlarged
from mededit_monai.space.flow import jacobian, warp


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory):
    return load_anatomy(str(save(label_array(), tmp_path_factory.mktemp("a") / "egg.nii.gz")))


def test_depth_is_known_deep_and_precise_at_the_surface():
    mm = np.linspace(-50, 50, 4001)
    error = np.abs(depth_mm(depth_code(mm).astype(np.float32)) - mm)
    assert error[np.abs(mm) < 5].max() < 0.11 and error.max() < 0.5
    assert depth_code(np.float32(0)) == 128 and depth_mm(np.float32(128)) == 0
    assert depth_mm(depth_code(np.array([80.0])).astype(np.float32))[0] == pytest.approx(50.2, abs=0.5)
    assert (np.diff(depth_code(mm).astype(int)) >= 0).all()


def test_the_middle_of_a_brain_is_deep(anatomy):
    canvas = draw_person(anatomy, 30.0, 1.2, 192, Draws(0, "p", 0).of("person"))
    assert canvas.depth.max() > 35 and (canvas.depth > 15)[canvas.brain].mean() > 0.3
    assert not (canvas.depth > 15)[~canvas.brain].any()


def egg_ventricles() -> tuple[np.ndarray, np.ndarray]:
    """Two ellipsoids of 5 x 14 x 6 mm, 9 mm off the middle of a ball of 50 mm; fractions (uint8) and depth."""
    x, y, z = (axis.astype(np.float32) for axis in np.ogrid[-54:55, -54:55, -54:55])
    fractions = np.zeros((109, 109, 109, len(TISSUES)), np.uint8)
    for at, side in ((-9, LEFT), (9, RIGHT)):
        fractions[..., side] = np.where(((x - at) / 5) ** 2 + (y / 14) ** 2 + (z / 6) ** 2 < 1, 255, 0)
    return fractions, 50 - np.sqrt(x**2 + y**2 + z**2)


@pytest.fixture(scope="module")
def sizes() -> VentricleSizes:
    return VentricleSizes(*egg_ventricles(), middle=54.0)


def moved(sizes: VentricleSizes, size: float, skew: float = 0.0) -> np.ndarray:
    """Displacement on the 1 mm grid, 3xXxYxZ."""
    field, whole = enlarged(np.moveaxis(sizes.field(size, skew), -1, 0), GRID_MM), np.zeros(
        (3, 109, 109, 109), np.float32
    )
    place = tuple(slice(first, first + n) for first, n in zip(sizes.start, field.shape[1:]))
    whole[(slice(None), *place)] = field
    return whole


def test_walls_move_by_the_size(sizes):
    """Along x through the right ventricle's middle its outer wall lies 5 mm from its middle."""
    right = (egg_ventricles()[0][..., RIGHT] > 0).astype(np.float32)
    outer = {}
    for size in (-6.0, -3.0, 0.0, 3.0, 6.0):
        carried = warp(right[None], moved(sizes, size))[0]
        outer[size] = float(carried[63:, 54, 54].sum()) - 0.5
    assert outer[0.0] == pytest.approx(4.5, abs=0.51)
    assert outer[3.0] - outer[0.0] == pytest.approx(3, rel=0.25) and outer[6.0] - outer[0.0] == pytest.approx(
        6, rel=0.3
    )
    assert outer[-3.0] - outer[0.0] == pytest.approx(-2, abs=0.7) and 0 < outer[-6.0] < 0.5 * outer[0.0]


def test_the_septum_and_the_surface_stay(sizes):
    field = moved(sizes, 5.0)
    assert np.abs(field[0, 54]).max() < 0.8 and np.abs(field[0, 54, 54, 54]) < 0.2
    depth = egg_ventricles()[1]
    assert not field[:, depth < 0].any() and np.abs(field[:, depth < 3]).max() < 0.3


def test_one_side_may_be_larger(sizes):
    left, right = ((egg_ventricles()[0][..., side] > 0).astype(np.float32) for side in (LEFT, RIGHT))
    after = warp(np.stack([left, right]), moved(sizes, 2.0, 0.8)).sum(axis=(1, 2, 3))
    even = warp(np.stack([left, right]), moved(sizes, 2.0)).sum(axis=(1, 2, 3))
    assert after[1] > 1.05 * even[1] and after[0] < 0.95 * even[0] and even[0] == pytest.approx(even[1], rel=0.05)


def test_the_size_for_a_volume_gives_that_volume(sizes):
    both = (egg_ventricles()[0][..., LEFT] + egg_ventricles()[0][..., RIGHT] > 0).astype(np.float32)
    own = both.sum() / 1000
    assert sizes.size_for(own) == pytest.approx(0, abs=0.3)
    for wanted in (0.6 * own, 2 * own):
        found = warp(both[None], moved(sizes, sizes.size_for(wanted))).sum() / 1000
        assert found == pytest.approx(wanted, rel=0.1)
    assert sizes.size_for(1e6) == SIZES[1] and sizes.size_for(0) == SIZES[0]


@pytest.mark.parametrize("size", [-9.0, -4.4, 2.2, 6.0])
def test_no_size_folds(sizes, size):
    assert jacobian(moved(sizes, size, 0.8)).min() > 0.02


def test_no_ventricle_no_change():
    fractions, depth = egg_ventricles()
    none = VentricleSizes(0 * fractions, depth, 54.0)
    assert not none.any and not none.field(6.0).any()


def test_maps_of_persons_do_not_fold_and_differ(anatomy):
    """MNI coordinates are the anatomy's, scaled: their Jacobian is that of the person's map, times a constant."""
    volumes, zooms = [], []
    for k in range(8):
        canvas = draw_person(anatomy, None, 3.0, 128, Draws(0, "persons", k).of("person"))
        slopes = np.stack([np.stack(np.gradient(axis, canvas.spacing)) for axis in canvas.mni])
        assert np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1)))[canvas.brain].min() > 0.02
        zooms.append(canvas.parameters["zoom"])
        volumes.append(float(canvas.ventricles.sum()) / np.prod(zooms[-1]))
    assert max(volumes) > 2 * min(volumes)
    assert np.ptp(np.array(zooms) / anatomy.mni_scale, axis=0).min() > 0.08


def test_flipped_persons_have_right_on_the_right(anatomy):
    flips = set()
    for k in range(6):
        canvas = draw_person(anatomy, 38.0, 1.8, 128, Draws(1, "flip", k).of("person"))
        flips.add(canvas.parameters["flip"])
        for side, sign in ((LEFT, -1), (RIGHT, 1)):
            inside = canvas.fractions[side] > 0.5
            assert inside.any() and (sign * canvas.mni[0][inside] > 0).all()
        columns = (
            np.argwhere(canvas.fractions[RIGHT] > 0.5)[:, 0].mean(),
            np.argwhere(canvas.fractions[LEFT] > 0.5)[:, 0].mean(),
        )
        assert columns[0] > columns[1]
    assert flips == {True, False}

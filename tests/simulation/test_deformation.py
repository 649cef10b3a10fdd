# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from fixed_rng import FixedRng

from mededit_monai.simulation.deformation import (
    NEGLIGIBLE_MM,
    ex_vacuo,
    expansion,
    random_displacement,
    smooth_field,
    warp,
)


def jacobian(displacement: np.ndarray) -> np.ndarray:
    """Determinant of the derivative of r + u(r); not positive where the map folds."""
    (xx, xy), (yx, yy) = (np.gradient(u) for u in displacement)
    return (1 + xx) * (1 + yy) - xy * yx


def length(field: np.ndarray) -> np.ndarray:
    return np.sqrt((field**2).sum(0))


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    grid = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(grid[0] - centre[0], grid[1] - centre[1]) < radius


# --- warp ------------------------------------------------------------------------------------------------------------


def test_warp_pulls_from_where_the_displacement_points():
    plane = np.arange(30.0).reshape(5, 6)
    shift = np.zeros((2, 5, 6))
    shift[0], shift[1] = 1, -2
    warped = warp(plane, shift)
    assert np.array_equal(warped[:4, 2:], plane[1:, :4])
    assert np.array_equal(warped[4, 2:], plane[4, :4])  # beyond the edge: the nearest pixel


def test_warp_by_half_a_pixel_is_the_mean_of_two():
    plane = np.array([[0.0, 4.0, 10.0]])
    half = np.stack([np.zeros((1, 3)), np.full((1, 3), 0.5)])
    assert warp(plane, half)[0, :2].tolist() == [2.0, 7.0]


def test_warped_labels_are_labels():
    labels = np.array([[0, 2, 2, 0]], np.uint8)
    shift = np.stack([np.zeros((1, 4)), np.full((1, 4), 0.6)])
    assert warp(labels, shift, order=0).tolist() == [[2, 2, 0, 0]]


# --- a person's shape ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end, angle, scale, shear", [(0, -5, 0.93, -0.03), (1, 5, 1.1, 0.03)])
def test_linear_part_of_a_person(end, angle, scale, shear):
    """The smooth warps of a noise that is zero but in a corner leave the middle alone: rotation · scaling + shear."""
    shape = (461, 461)
    found = random_displacement(shape, FixedRng(end))
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    for x, y in ((230, 230), (235, 228), (226, 237)):
        dx, dy = x - 230, y - 230
        wanted = ((scale * cos - 1) * dx + (shear - scale * sin) * dy, scale * sin * dx + (scale * cos - 1) * dy)
        assert found[:, x, y] == pytest.approx(wanted, abs=1e-4)


def test_nobody_is_folded():
    assert min(jacobian(random_displacement((233, 233), np.random.default_rng(k))).min() for k in range(40)) > 0.4


def test_a_person_depends_on_the_generator_alone():
    first, again, other = (random_displacement((64, 64), np.random.default_rng(k)) for k in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


# --- smooth fields ---------------------------------------------------------------------------------------------------


def test_smooth_field_has_its_peak_and_its_length():
    """White noise blurred by s has the autocorrelation exp(-h²/4s²)."""
    field = smooth_field((12, 400, 400), 12.0, 3.0, np.random.default_rng(0))
    assert np.abs(field).max() == pytest.approx(3.0, rel=1e-6)
    for lag in (6, 12, 18):
        for one, two in ((field[:, lag:], field[:, :-lag]), (field[..., lag:], field[..., :-lag])):
            assert (one * two).mean() / field.var() == pytest.approx(np.exp(-((lag / 24) ** 2)), abs=0.04)


# --- expansion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amplitude", [5.0, -3.0])
def test_expansion_of_a_straight_wall(amplitude):
    """Blurring a step gives the error function, so u = amplitude · exp(-d²/2·reach²) at distance d of the wall."""
    mask = np.zeros((160, 40), bool)
    mask[:80] = True  # the wall lies at x = 79.5
    field = expansion(mask, amplitude, reach=8.0)
    wanted = -amplitude * np.exp(-((np.arange(160) - 79.5) ** 2) / 128)  # inward is toward smaller x
    assert np.abs(field[0] - wanted[:, None]).max() < 0.02 * abs(amplitude)
    assert np.abs(field[1]).max() < 1e-5


@pytest.mark.parametrize("amplitude", [5.0, -5.0])
def test_expansion_moves_the_wall_by_its_amplitude(amplitude):
    """A wall pulled by 5 mm · exp(-5²/128): the fixed point of shift = 5·exp(-shift²/128) is 4.3."""
    mask = np.zeros((160, 40), bool)
    mask[:80] = True
    shift = 0.0
    for _ in range(100):
        shift = 5 * np.exp(-(shift**2) / 128)
    moved = int(warp(mask.astype(np.uint8), expansion(mask, amplitude), order=0)[:, 20].sum()) - 80
    assert moved * np.sign(amplitude) == pytest.approx(shift, abs=0.6)


def test_expansion_grows_and_shrinks_a_disc_without_folds():
    mask = disc((120, 120), (60, 60), 20)
    for amplitude in (-7.5, -2.0, 2.0, 7.5):
        field = expansion(mask, amplitude)
        assert length(field).max() == pytest.approx(abs(amplitude), rel=1e-5)
        assert jacobian(field).min() > 0
        area = warp(mask.astype(np.uint8), field, order=0).sum()
        assert (area > mask.sum()) == (amplitude > 0) and area != mask.sum()


@pytest.mark.parametrize("amplitude", [8.0, -8.0, 11.5])
def test_refuses_an_amplitude_that_folds(amplitude):
    with pytest.raises(ValueError, match=f"{amplitude} mm would fold.*8.0 mm"):
        expansion(np.ones((8, 8)), amplitude)


def test_nothing_to_expand_moves_nothing():
    assert not expansion(np.zeros((20, 20)), 3.0).any()


# --- ex vacuo --------------------------------------------------------------------------------------------------------

SHAPE = (200, 160)
LEFT, RIGHT = (60, 80), (140, 80)


def ventricles() -> np.ndarray:
    return (disc(SHAPE, LEFT, 12) + 2 * disc(SHAPE, RIGHT, 12)).astype(np.uint8)


@pytest.mark.parametrize("side, centre", [(1, (30, 80)), (2, (170, 80))])
def test_ventricle_on_the_lesions_side_grows(side, centre):
    before = ventricles()
    pull = ex_vacuo(before, disc(SHAPE, centre, 10), gain=0.2)
    after = warp(before, pull, order=0)
    assert (after == side).sum() > 1.1 * (before == side).sum()
    assert np.array_equal(after == 3 - side, before == 3 - side)
    # the wall that faces the lesion yields more than the one that looks away
    outward = LEFT[0] - 12 if side == 1 else RIGHT[0] + 12
    inward = LEFT[0] + 12 if side == 1 else RIGHT[0] - 12
    assert length(pull)[outward, 80] > 1.4 * length(pull)[inward, 80] > 0


def test_far_tissue_does_not_move_at_all():
    pull = ex_vacuo(ventricles(), disc(SHAPE, (30, 80), 10), gain=0.2)
    moved = length(pull)
    assert not moved[120:].any() and moved.any()
    assert moved[moved > 0].min() >= NEGLIGIBLE_MM * (1 - 1e-6)


def test_pull_follows_gain_size_and_distance():
    """u = gain · √area · (expansion by 1 mm) · exp(-(d/55)²), d from the lesion's centre."""
    at = LEFT[0] - 12, 80
    lesion = np.zeros(SHAPE, bool)
    lesion[20:31, 75:86] = True  # 121 mm², centre (25, 80)
    unit = length(expansion(disc(SHAPE, LEFT, 12), 1.0))[at]
    found = length(ex_vacuo(ventricles(), lesion, gain=0.1))[at]
    assert found == pytest.approx(0.1 * 11 * unit * np.exp(-((23 / 55) ** 2)), rel=1e-4)
    assert length(ex_vacuo(ventricles(), lesion, gain=0.3))[at] == pytest.approx(3 * found, rel=1e-4)
    farther = length(ex_vacuo(ventricles(), np.roll(lesion, 40, axis=1), gain=0.1))[at]
    assert farther == pytest.approx(found * np.exp(-((40 / 55) ** 2)), rel=1e-4)


def test_pull_has_a_limit():
    lesion = disc(SHAPE, (48, 80), 30)
    strong, stronger = (ex_vacuo(ventricles(), lesion, gain) for gain in (1.0, 5.0))
    assert np.array_equal(strong, stronger) and 4.0 < length(strong).max() <= 6.0


def test_a_slice_without_ventricles_keeps_still():
    pull = ex_vacuo(np.zeros(SHAPE, np.uint8), disc(SHAPE, (30, 80), 10), gain=0.2)
    assert pull.shape == (2, *SHAPE) and not pull.any()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Linear elasticity by finite elements against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.elasticity import elastic_displacement, lame


def swollen_ball(side: int, radius: float, strain: float = 0.1, poisson: float = 0.3):
    """A ball that swells in the middle of a cube; displacement, and where the corners are from the middle."""
    centre = np.stack(np.meshgrid(*[np.arange(side) + 0.5 - side / 2] * 3, indexing="ij"))
    inside = np.sqrt((centre**2).sum(axis=0)) < radius
    ones = np.ones((side,) * 3)
    moved = elastic_displacement(strain * inside, ones, poisson * ones, ones > 0)
    corner = np.stack(np.meshgrid(*[np.arange(side + 1) - side / 2] * 3, indexing="ij"))
    return moved, corner, (3 * inside.sum() / (4 * np.pi)) ** (1 / 3)


def test_nothing_swells_nothing_moves():
    ones = np.ones((6, 7))
    assert not elastic_displacement(0 * ones, ones, 0.3 * ones, ones > 0).any()


def test_a_ball_in_a_wide_body_pushes_as_the_inverse_square():
    """
    Eshelby 1957: inside u = ε (1+ν)/(3(1-ν)) r, outside u = ε (1+ν)/(3(1-ν)) a³/r². The held surface at R takes
    about r/R³ off 1/r².
    """
    strain, poisson, side = 0.1, 0.3, 26
    moved, corner, a = swollen_ball(side, 4.0, strain, poisson)
    r = np.sqrt((corner**2).sum(axis=0))
    outward = (moved * corner).sum(axis=0) / np.maximum(r, 1e-9)
    share = strain * (1 + poisson) / (3 * (1 - poisson))
    middle = side // 2
    line = outward[middle:, middle, middle]  # along an axis
    assert line[2] == pytest.approx(share * 2, rel=0.1)
    far = np.arange(6, 9)
    wanted = share * a**3 * (1 / far**2 - far / (side / 2) ** 3)
    assert line[far] == pytest.approx(wanted, rel=0.12)
    free = line[far] + share * a**3 * far / (side / 2) ** 3  # without the wall
    assert np.polyfit(np.log(far), np.log(free), 1)[0] == pytest.approx(-2, abs=0.25)


def test_what_shrinks_pulls_as_far_as_what_swells_pushes():
    moved, _, _ = swollen_ball(10, 2.5)
    pulled, _, _ = swollen_ball(10, 2.5, -0.1)
    assert np.allclose(pulled, -moved) and np.abs(moved).max() > 0.05


@pytest.mark.parametrize("shape", [(12, 10), (7, 6, 5)])
def test_a_body_that_swells_evenly_between_walls_stays(shape):
    """Even pressure has no force but at the walls, which hold."""
    ones = np.ones(shape)
    assert np.abs(elastic_displacement(0.1 * ones, ones, 0.3 * ones, ones > 0)).max() < 1e-12


def test_soft_fluid_gives_way_and_its_volume_is_what_tissue_gives_up():
    """∫ div u over the body is 0, since its surface is held; a part that shrinks widens soft spaces most."""
    strain, body = np.zeros((30, 30)), np.ones((30, 30), bool)
    strain[4:12, 10:20] = -0.2
    fluid = np.zeros((30, 30), bool)
    fluid[16:22, 10:20] = True
    young, poisson = np.where(fluid, 0.05, 1.0), np.where(fluid, 0.1, 0.45)
    moved = elastic_displacement(strain, young, poisson, body)
    growth = (
        sum(
            np.diff(component, axis=axis)[tuple(slice(None) if a == axis else slice(0, -1) for a in range(2))]
            + np.diff(component, axis=axis)[tuple(slice(None) if a == axis else slice(1, None) for a in range(2))]
            for axis, component in enumerate(moved)
        )
        / 2
    )
    assert growth.sum() == pytest.approx(0, abs=1e-9)
    assert growth[strain < 0].sum() < -5
    assert growth[fluid].sum() > 0.3 * -growth[strain < 0].sum()


def test_only_the_body_moves():
    ones, body = np.ones((12, 12)), np.zeros((12, 12), bool)
    body[2:10, 2:10] = True
    strain = np.zeros((12, 12))
    strain[3:6, 4:7] = 0.1
    moved = elastic_displacement(strain, ones, 0.3 * ones, body)
    assert moved[:, 3:10, 3:10].any()
    assert not moved[:, :3].any() and not moved[:, 10:].any() and not moved[:, :, :3].any()


def test_moduli():
    first, second = lame(np.array([1.0]), np.array([0.25]))
    assert (first[0], second[0]) == (pytest.approx(0.4), pytest.approx(0.4))  # Poisson solid: λ = μ


def test_shapes_that_differ():
    ones = np.ones((4, 4))
    with pytest.raises(ValueError, match="wanted one S"):
        elastic_displacement(np.zeros((4, 5)), ones, ones, ones > 0)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Remote atrophy on a disc by hand: both ventricles widen by what was drawn, whatever side, and the surface stays."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.atrophy import remote_atrophy_velocity
from mededit_monai.diseases.canvas import CORTEX, FLUID, LEFT, RIGHT, TISSUES, WHITE, Canvas
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.effects import draw_effects

SPACING = 1.5


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    """A disc of 60 mm with ventricles of 6 x 20 mm, a third ventricle of 3 x 10 mm, and one sulcus 20 mm deep."""
    x, y = np.meshgrid(*((np.arange(90) - 44.5) * SPACING,) * 2, indexing="ij")
    depth = (60 - np.hypot(x, y)).astype(np.float32)
    brain = depth > 0
    classes = np.select([depth < 6], [CORTEX], WHITE)
    for at, side in ((-14, LEFT), (14, RIGHT)):
        classes[np.hypot((x - at) / 6, y / 20) < 1] = side
    classes[(np.abs(y) < 2) & (x > 38)] = FLUID
    classes[np.hypot(x / 3, (y + 2) / 10) < 1] = FLUID
    fractions = np.stack([(classes == k) & brain for k in range(len(TISSUES))]).astype(np.float32)
    return Canvas(fractions, depth, brain, np.stack([x, y, 0 * x]).astype(np.float32), SPACING, None, {})


def at(canvas: Canvas, x: float, y: float) -> tuple[int, int]:
    return int(round(x / SPACING + 44.5)), int(round(y / SPACING + 44.5))


def test_every_fluid_space_widens(canvas):
    """Pull-back: at a wall the velocity points into the space."""
    velocity, drawn = remote_atrophy_velocity(canvas, np.random.default_rng(0))
    assert velocity.shape == (2, *canvas.brain.shape) and velocity.dtype == np.float32
    assert not velocity[:, ~canvas.brain].any()
    for x, sign in ((22, -1), (-22, 1)):  # outer walls of both lateral ventricles
        assert sign * velocity[0][at(canvas, x, 0)] > 0.3 * drawn["ventricle_mm"] / SPACING
    assert velocity[1][at(canvas, 48, 4)] < -0.1 * drawn["sulci_mm"] and velocity[1][at(canvas, 48, -4)] > 0.1
    largest = SPACING * np.sqrt((velocity**2).sum(axis=0)).max()
    assert largest <= 1.05 * (drawn["ventricle_mm"] + drawn["third_mm"] + drawn["sulci_mm"])


def test_sides_are_alike(canvas):
    velocity, _ = remote_atrophy_velocity(canvas, np.random.default_rng(3))
    inner = slice(None), slice(20, 70)
    sulcus = np.abs(canvas.mni[0]) < 32
    left, right = (np.where(sulcus, part, 0)[inner] for part in (velocity[0], -velocity[0][::-1]))
    assert np.abs(left - right).max() < 0.02


def test_no_fluid_no_atrophy(canvas):
    solid = Canvas(0 * canvas.fractions, canvas.depth, canvas.brain, canvas.mni, SPACING, None, {})
    assert not remote_atrophy_velocity(solid, np.random.default_rng(0))[0].any()


def test_it_is_drawn_as_stated(canvas):
    drawn = [remote_atrophy_velocity(canvas, np.random.default_rng(k))[1] for k in range(200)]
    for key, middle, spread in (("ventricle_mm", 2.5, 0.3), ("third_mm", 1.0, 0.4), ("sulci_mm", 0.7, 0.4)):
        values = np.array([one[key] for one in drawn]) / middle
        assert 1 - spread <= values.min() < 1 - 0.8 * spread and 1 + 0.8 * spread < values.max() <= 1 + spread


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_it_comes_on_top_of_the_lesions_own_effects(canvas, name):
    """exp(v + G w): twice the atrophy is, for small ones, twice the difference."""
    disease, draws = DISEASES[name], Draws(0, "a", 0)
    lesion = np.where(np.hypot(canvas.mni[0] - 34, canvas.mni[1] - 10) < 8, 1, 0).astype(np.uint8)
    none, little, twice = (draw_effects(disease, canvas, lesion, draws, g).pull for g in (0.0, 0.05, 0.1))
    assert np.abs(twice - none).max() > 0.05
    assert np.abs((twice - none) - 2 * (little - none)).max() < 0.1 * np.abs(twice - none).max()
    far = canvas.mni[0] < -10
    assert np.abs((twice - none)[:, far]).max() > 0.04  # the other side, too
    assert "remote_atrophy" not in draw_effects(disease, canvas, lesion, draws, 0.0).drawn

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from fixed_rng import FixedRng
from scipy import ndimage

from mededit_monai.simulation.lesion import paint_stroke, random_stroke


def brain(side: int = 120) -> np.ndarray:
    x, y = (axis - (side - 1) / 2 for axis in np.ogrid[:side, :side])
    return np.hypot(x, y) < side * 0.45


# --- shape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("area", [0.2, 1, 12, 77.4, 500, 2000])
def test_area_is_the_wanted_one(area):
    for seed in range(5):
        lesion = random_stroke(brain(), area, np.random.default_rng(seed))
        assert lesion.sum() == max(1, round(area))
        assert not lesion[~brain()].any()


def test_a_lesion_stays_in_its_hemisphere():
    tissue, sides = brain(), []
    for seed in range(20):
        columns = np.flatnonzero(random_stroke(tissue, 1500, np.random.default_rng(seed)).any(axis=1))
        assert columns[-1] < 60 or columns[0] >= 60
        sides.append(columns[0] >= 60)
    assert 0 < sum(sides) < 20


def test_a_lesion_larger_than_its_hemisphere_fills_it():
    tissue = np.zeros((40, 40), bool)
    tissue[5:35, 10:30] = True
    lesion = random_stroke(tissue, 5000, np.random.default_rng(0))
    assert lesion.sum() == 15 * 20
    assert lesion[5:20, 10:30].all() or lesion[20:35, 10:30].all()


def test_a_lesion_is_compact_but_no_ellipse():
    """Second moment of a disc: A/2π about its centre. Stretch and roughness add to it, scattered pixels far more."""
    wide = np.ones((300, 300), bool)
    ratios = []
    for seed in range(20):
        lesion = random_stroke(wide, 900, np.random.default_rng(seed))
        points = np.argwhere(lesion)
        ratios.append(((points - points.mean(0)) ** 2).sum(1).mean() / (900 / (2 * np.pi)))
    assert min(ratios) > 0.99 and np.median(ratios) < 1.6 and np.ptp(ratios) > 0.1


def test_lesions_differ_by_the_generator_alone():
    first, again, other = (random_stroke(brain(), 300, np.random.default_rng(k)) for k in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_no_tissue_no_lesion():
    with pytest.raises(ValueError, match="no tissue in this slice"):
        random_stroke(np.zeros((9, 9), bool), 4, np.random.default_rng(0))


# --- appearance ------------------------------------------------------------------------------------------------------

IMAGE, FLUID = 0.8, 0.1
LESION = np.zeros((60, 60), bool)
LESION[30:51, 30:51] = True  # depth 1 at its border, 11 in its middle


@pytest.mark.parametrize(
    "end, drawn, depths",
    [
        # severity 0.8, rim 1 mm, core value 1.0 · fluid: 0.8 · 0.1 + 0.2 · 0.8 from depth 1 on
        (0, {"severity": 0.8, "rim_width_mm": 1.0, "texture": 0.02}, {0: 0.76739, 1: 0.33320, 2: 0.24, 11: 0.24}),
        # severity 1, rim 4 mm, core value 1.5 · fluid: blended by depth/4 up to depth 4
        (
            1,
            {"severity": 1.0, "rim_width_mm": 4.0, "texture": 0.06},
            {0: 0.76214, 1: 0.61036, 2: 0.475, 3: 0.3125, 4: 0.15, 11: 0.15},
        ),
    ],
)
def test_core_and_rim(end, drawn, depths):
    """At depths 0 and 1 the blend is at least 0.35 · severity, softened by 0.1664 outside and 0.8336 inside."""
    image = np.full(LESION.shape, IMAGE)
    painted, parameters = paint_stroke(image, LESION, FLUID, FixedRng(end))
    assert parameters == drawn
    for depth, value in depths.items():
        assert painted[29 + depth, 40] == pytest.approx(value, abs=1e-4), depth


def test_border_is_softened_by_a_pixel_and_the_rest_is_untouched():
    image = np.random.default_rng(0).uniform(0.5, 0.9, LESION.shape).astype(np.float32)
    painted, _ = paint_stroke(image, LESION, FLUID, np.random.default_rng(1))
    assert painted.dtype == image.dtype
    near = ndimage.binary_dilation(LESION, np.ones((3, 3)))
    assert np.array_equal(painted[~near], image[~near])
    assert (painted != image)[LESION].all() and (painted != image)[near & ~LESION].mean() > 0.9
    edge = near & ~LESION
    assert np.abs(painted - image)[edge].max() < 0.5 * np.abs(painted - image)[LESION].max()


def test_core_is_darker_than_rim_is_darker_than_tissue():
    depth = ndimage.distance_transform_edt(LESION)
    for seed in range(10):
        image = np.full(LESION.shape, IMAGE, np.float32)
        painted, parameters = paint_stroke(image, LESION, FLUID, np.random.default_rng(seed))
        assert painted.min() >= 0
        core, rim = painted[depth > 5].mean(), painted[depth == 1].mean()
        assert core < 0.35 < IMAGE and core < rim < IMAGE, parameters
        mottled = painted[depth > 5].std()
        assert mottled == pytest.approx(parameters["texture"], rel=0.5)


def test_texture_never_makes_an_intensity_negative():
    painted, _ = paint_stroke(np.zeros(LESION.shape, np.float32), LESION, 0.0, np.random.default_rng(0))
    assert painted.min() == 0 and painted[LESION].max() > 0

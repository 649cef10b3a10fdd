# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn on a disc of white matter with two ventricles: sizes, sides, regions, and which way fluid moves."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.canvas import CHOROID, CORTEX, FLUID, LEFT, RIGHT, TISSUES, WHITE, Canvas, Contrast
from mededit_monai.simulation.pair import REACH_MM

SPACING = 1.5


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    """A disc of 60 mm radius: 4 mm of fluid, 4 mm of cortex, white matter, and ventricles 12 mm off the midline."""
    x, y = np.meshgrid(*((np.arange(90) - 44.5) * SPACING,) * 2, indexing="ij")
    depth = (60 - np.hypot(x, y)).astype(np.float32)
    brain = depth > 0
    classes = np.select([depth < 4, depth < 8], [FLUID, CORTEX], WHITE)
    for at, side in ((-12, LEFT), (12, RIGHT)):
        classes[np.hypot((x - at) / 6, y / 20) < 1] = side
    classes[np.hypot(x - 12, y + 10) < 2] = CHOROID
    fractions = np.stack([(classes == k) & brain for k in range(len(TISSUES))]).astype(np.float32)
    return Canvas(fractions, depth, brain, np.stack([x, y, 0 * x]).astype(np.float32), SPACING, None, {})


def area_mm2(mask: np.ndarray) -> float:
    return float(np.count_nonzero(mask)) * SPACING**2


def test_a_canvas_by_hand(canvas):
    left, right = canvas.ventricles
    assert area_mm2(left) == pytest.approx(np.pi * 6 * 20, rel=0.03) and area_mm2(left) == area_mm2(right)
    assert (
        (canvas.fractions[RIGHT] < right).sum() == canvas.fractions[CHOROID].sum() > 0
    )  # the plexus counts as ventricle
    assert np.array_equal(canvas.parenchyma, canvas.fractions[[WHITE, CORTEX]].sum(axis=0))
    assert np.array_equal(canvas.tissue.sum(axis=0) + left + right, canvas.brain)
    assert np.array_equal(canvas.white, canvas.tissue[2]) and np.array_equal(canvas.fluid, canvas.tissue[0])
    assert canvas.hemisphere(np.array([3, 40]))[:45].all() and not canvas.hemisphere(np.array([3, 40]))[45:].any()


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_a_lesion_lies_in_tissue_and_is_as_large_as_asked_for(canvas, name):
    disease, ratios = DISEASES[name], []
    for seed in range(12):
        regions, drawn = disease.draw_lesion(canvas, 12.0, np.random.default_rng(seed))
        assert regions.dtype == np.uint8 and regions.max() <= len(disease.structures)
        assert not regions[~canvas.brain].any()
        ratios.append(area_mm2(regions) / (np.pi * 12**2))
    assert np.median(ratios) == pytest.approx(1, abs=0.1) and min(ratios) > 0.4 and max(ratios) < 2


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_no_tissue_no_lesion(canvas, name):
    empty = Canvas(0 * canvas.fractions, canvas.depth, canvas.brain, canvas.mni, SPACING, None, {})
    regions, _ = DISEASES[name].draw_lesion(empty, 12.0, np.random.default_rng(0))
    assert regions.shape == canvas.brain.shape and not regions.any()


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_the_ventricle_grows_or_shrinks(canvas, name):
    """Pull-back: where the velocity at the wall points into the ventricle, the ventricle becomes larger."""
    disease = DISEASES[name]
    regions = np.where(np.hypot(canvas.mni[0] - 34, canvas.mni[1]) < 12, 1, 0).astype(np.uint8)
    velocity, drawn = disease.lesion_velocity(canvas, regions, np.random.default_rng(0))
    assert velocity.shape == (2, *regions.shape) and drawn["lesion_side"] == "right"
    assert not velocity[:, ~canvas.brain].any()
    wall = np.argmin(np.abs(canvas.mni[0][:, 44] - 18.5)), 44  # between the right ventricle and the lesion
    assert np.sign(velocity[0][wall]) == -disease.ventricle_change
    far = np.argmin(np.abs(canvas.mni[0][:, 44] + 18.5)), 44
    assert np.abs(velocity[:, far[0], far[1]]).max() < 0.5 * np.abs(velocity[0][wall])


@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_painting_ends_where_the_simulator_cuts_it_off(canvas, name):
    disease, contrast = DISEASES[name], Contrast(0.8, 0.6, 0.2, 1.1)
    image = np.where(canvas.brain, 0.8, 0).astype(np.float32)
    radius = np.hypot(canvas.mni[0] - 30, canvas.mni[1])
    regions = np.select([radius < 5, radius < 8, radius < 14], [1, 3, 2] if disease.labels else [1, 1, 1]).astype(
        np.uint8
    )
    painted, _ = disease.paint_lesion(image, regions, contrast, SPACING, np.random.default_rng(0))
    beyond = np.maximum(np.abs(canvas.mni[0] - 30), np.abs(canvas.mni[1])) > 14 + REACH_MM
    assert painted.dtype == np.float32 and np.array_equal(painted[beyond], image[beyond])
    if disease.lesion_is_dark:
        assert painted[regions > 0].mean() < 0.5
    else:
        core, edema, rim = (float(np.median(painted[regions == k])) for k in (1, 2, 3))
        assert core < edema < 0.8 < rim


def test_a_given_tumour_keeps_its_labels_and_a_solid_one_gets_edema(canvas):
    disease, radius = DISEASES["tumor"], np.hypot(canvas.mni[0] - 34, canvas.mni[1])
    labelled = np.select([radius < 5, radius < 8, radius < 12], [1, 3, 2]).astype(np.uint8)
    regions, drawn = disease.given_lesion(canvas, labelled, np.random.default_rng(0))
    assert regions is labelled and drawn == {"lesion_kind": "given"}
    solid = (radius < 8).astype(np.uint8)
    regions, drawn = disease.given_lesion(canvas, solid, np.random.default_rng(0))
    assert (regions[solid == 1] % 2 == 1).all() and set(np.unique(regions[solid == 0])) <= {0, 2, 3}
    satellites = (regions == 3) & (solid == 0)  # at most three nodules of 4 mm
    assert area_mm2(satellites) <= 3 * np.pi * 4.5**2
    assert area_mm2(regions) == pytest.approx(np.pi * 8**2 / drawn["solid_share"], rel=0.15)


def test_a_given_stroke_is_taken_as_it_is(canvas):
    mask = canvas.brain.astype(np.uint8)
    assert DISEASES["stroke"].given_lesion(canvas, mask, np.random.default_rng(0)) == (mask, {"lesion_kind": "given"})

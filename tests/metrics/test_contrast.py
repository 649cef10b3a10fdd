# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics.contrast import contrast_to_noise, core_contrast, lesion_contrast, told_contrast
from mededit_monai.metrics.edit_metrics import VisibilityMetric


def test_share_of_the_true_change():
    prior = np.array([[0.5, 0.5, 0.5, 0.9]])
    truth = np.array([[0.1, 0.9, 0.5, 0.0]])  # darker, brighter, unchanged; the last pixel is outside
    lesion = np.array([[1, 1, 1, 0]])
    assert lesion_contrast(prior, truth, truth, lesion) == pytest.approx(1)
    assert lesion_contrast(prior, prior, truth, lesion) == 0
    assert lesion_contrast(prior, prior + 0.5 * (truth - prior), truth, lesion) == pytest.approx(0.5)
    # 0.4 · 0.2 / (0.4² + 0.4²): only the dark pixel, half as strong
    assert lesion_contrast(prior, np.array([[0.3, 0.5, 0.5, 0.0]]), truth, lesion) == pytest.approx(0.25)
    assert lesion_contrast(prior, 2 * prior - truth, truth, lesion) == pytest.approx(-1)
    assert np.isnan(lesion_contrast(prior, truth, prior, lesion))


def test_core_against_rim():
    regions = np.array([[1, 1, 1, 1, 1, 1, 3, 3, 2, 0]])
    image = np.array([[0.1, 0.3, 0.2, 0.2, 0.2, 0.2, 0.9, 0.7, 0.0, 1.0]])
    assert core_contrast(image, regions) == pytest.approx(0.6)
    assert core_contrast(image, np.where(regions == 3, 2, regions)) is None
    assert core_contrast(image[:, 1:], regions[:, 1:]) is None


@pytest.fixture
def told() -> dict[str, np.ndarray]:
    """Twelve squares of 8 x 8 in random scans."""
    mask = np.zeros((12, 16, 16))
    mask[:, 4:12, 4:12] = 1
    priors = np.random.default_rng(0).uniform(0.2, 1, (12, 16, 16))
    return {"priors": priors, "conditions": mask[:, None], "pathologies": mask}


def test_what_the_condition_tells_can_be_asked_for(told):
    change = told["priors"] * 0.4 - 0.1  # by intensity alone
    assert told_contrast(truths=told["priors"] - change, **told) == pytest.approx(1, abs=1e-6)


def test_what_it_leaves_open_cannot_be_asked_for(told):
    signs = np.random.default_rng(1).choice([-1, 1], told["priors"].shape)  # darker or brighter: nobody says
    assert abs(told_contrast(truths=told["priors"] + 0.3 * signs, **told)) < 0.05
    # half of the change by a rule, half of its power by chance: ‖μ‖² / (‖μ‖² + σ²)
    assert told_contrast(truths=told["priors"] - 0.3 + 0.3 * signs, **told) == pytest.approx(0.5, abs=0.05)
    regions = np.stack([signs > 0, signs < 0], axis=1) * told["conditions"]
    assert told_contrast(truths=told["priors"] + 0.3 * signs, **{**told, "conditions": regions}) == pytest.approx(1)


def test_a_box_does_not_say_where_in_it_the_lesion_lies(told):
    """A lesion in half of the box, left or right by turns: half of its change is the best guess everywhere."""
    halves = np.zeros_like(told["pathologies"])
    halves[::2, 4:12, 4:8] = halves[1::2, 4:12, 8:12] = 1
    told |= {"priors": np.full_like(told["priors"], 0.7), "pathologies": halves}
    assert told_contrast(truths=told["priors"] - 0.4 * halves, **told) == pytest.approx(0.5, abs=0.05)
    sure = {**told, "conditions": halves[:, None]}
    assert told_contrast(truths=told["priors"] - 0.4 * halves, **sure) == pytest.approx(1, abs=1e-6)


def test_contrast_to_noise_by_hand():
    """A lesion of 4 pixels, 0.3 darker, in a brain whose every other row is 0.1 brighter: s.d. 0.05 around."""
    prior = np.full((20, 20), 0.5)
    prior[::2] += 0.1
    brain, lesion = np.ones_like(prior), np.zeros_like(prior)
    lesion[8:10, 8:10] = 1
    edit = prior - 0.3 * lesion
    assert contrast_to_noise(prior, edit, lesion, brain) == pytest.approx(0.3 / 0.05, rel=0.01)
    assert contrast_to_noise(prior, prior + 0.15 * lesion, lesion, brain) == pytest.approx(0.15 / 0.05, rel=0.01)
    assert contrast_to_noise(prior, prior, lesion, brain) == 0
    far = prior.copy()
    far[0] = 9  # eight steps off
    assert contrast_to_noise(far, far - 0.3 * lesion, lesion, brain) == pytest.approx(6, rel=0.01)
    assert np.isnan(contrast_to_noise(prior, edit, 0 * lesion, brain))
    assert np.isnan(contrast_to_noise(0 * prior, edit, lesion, brain)) and np.isnan(
        contrast_to_noise(prior, edit, lesion, lesion)
    )


def test_only_small_lesions_count_among_small_ones():
    prior = np.random.default_rng(0).random((1, 1, 20, 20)).astype(np.float32)
    brain, lesion = np.ones_like(prior), np.zeros_like(prior)
    lesion[..., 8:10, 8:10] = 1
    case = {key: array[0, 0] for key, array in (("prior", prior), ("pathology", lesion), ("brain", brain))}
    edit = case["prior"] - 0.3 * case["pathology"]
    every, small = VisibilityMetric(small=4).measure(edit, case)
    assert every == small > 0 and np.isnan(VisibilityMetric(small=3.5).measure(edit, case)[1])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Features of lesions drawn by hand, and the two-sample test on Gaussians, whose area under the curve is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from mededit_monai.metrics import LesionFeatureMetric, lesion_features, lesion_test
from mededit_monai.metrics.lesion_features import FLOOR, OF_REGIONS, PLAIN
from mededit_monai.metrics.realism import Features, two_sample_auc

#: Levels of the drawn head: 0.1 fluid, 0.5 gray and 0.9 white matter, so that 0.8 of intensity are 1 relative.
FLUID, GRAY, WHITE = 0.1, 0.5, 0.9


def head(dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prior, brain, and a cube of 12 voxels in the white matter as the lesion."""
    shape = (48,) * dims
    x = np.stack(np.meshgrid(*(np.arange(48) - 23.5,) * dims, indexing="ij"))
    brain = (np.abs(x) < 22).all(axis=0)
    prior = np.where((np.abs(x) < 14).all(axis=0), WHITE, np.where((np.abs(x) < 20).all(axis=0), GRAY, FLUID)) * brain
    return prior, brain, (np.abs(x) < 6).all(axis=0) & np.ones(shape, bool)


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip((*PLAIN, *OF_REGIONS), values))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_lesion_of_two_levels(dims):
    """Inner half fluid, outer half half-way to white matter."""
    prior, brain, lesion = head(dims)
    depth = ndimage.distance_transform_edt(lesion)
    core = depth > 3
    image = np.where(lesion, np.where(core, FLUID, GRAY), prior)
    found = named(lesion_features(image, prior, lesion, brain))
    share = core.sum() / lesion.sum()
    assert share == pytest.approx(0.5**dims)
    assert found["mean"] == pytest.approx(0.5 * (1 - share), abs=1e-3)
    assert found["sd"] == pytest.approx(0.5 * np.sqrt(share * (1 - share)), rel=1e-2)
    assert found["rim_minus_core"] == pytest.approx(0.5, abs=1e-3)
    assert found["edge_step"] == pytest.approx(0.5, abs=1e-3)
    assert found["cavity"] == pytest.approx(share) and found["bright"] == 0
    assert found["low_tenth"] == pytest.approx(0, abs=1e-3) and found["high_tenth"] == pytest.approx(0.5, abs=1e-3)


def test_intensities_are_relative_to_the_scans_own():
    prior, brain, lesion = head(2)
    image = np.where(lesion, 0.3, prior)
    values = lesion_features(image, prior, lesion, brain)
    assert lesion_features(0.5 * image + 0.2, 0.5 * prior + 0.2, lesion, brain) == pytest.approx(values, abs=2e-2)
    assert lesion_features(image + 0.2, prior, lesion, brain)[0] == pytest.approx(values[0] + 0.25, abs=1e-3)


def test_an_even_grey_has_no_power_and_a_blurred_texture_less_of_it_in_the_finest_band():
    prior, brain, lesion = head(2)
    noise = np.random.default_rng(0).standard_normal(prior.shape)
    flat, fine, soft = (
        named(lesion_features(np.where(lesion, GRAY + 0.05 * part, prior), prior, lesion, brain))
        for part in (0 * noise, noise, ndimage.gaussian_filter(noise, 1))
    )
    assert flat["fine"] == flat["middle"] == flat["coarse"] == pytest.approx(np.log2(FLOOR))
    assert flat["spectrum_slope"] == 0 and flat["sd"] == pytest.approx(0, abs=1e-12)
    assert fine["fine"] > soft["fine"] + 2 and fine["spectrum_slope"] < soft["spectrum_slope"]


def test_regions_and_lesions_too_small_to_look_into():
    prior, brain, lesion = head(2)
    regions = np.where(lesion, 1, 0)
    regions[24:][lesion[24:]] = 3
    image = np.where(regions == 3, WHITE, np.where(regions == 1, FLUID, prior))
    found = named(lesion_features(image, prior, lesion, brain, regions))
    assert found["core_mean"] == pytest.approx(0, abs=1e-3) and found["rim_mean"] == pytest.approx(1, abs=1e-3)
    assert np.isnan(found["edema_mean"]) and found["rim_sd"] == pytest.approx(0, abs=1e-12)
    dot = np.zeros_like(lesion)
    dot[24, 24] = 1
    assert np.isnan(lesion_features(image, prior, dot, brain)).all()
    metric = LesionFeatureMetric(regions=True)
    case = {"image": image, "prior": prior, "pathology": lesion, "brain": brain, "regions": regions}
    values = dict(zip(metric.columns, metric.measure(prior, case)))
    assert values["true_rim_mean"] == found["rim_mean"] and values["edit_core_mean"] == pytest.approx(1, abs=1e-3)


GROUPS = [f"brain_{k % 20}" for k in range(2000)]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("classifier", ["linear", "quadratic", "trees"])
@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0])
def test_area_under_the_curve_of_shifted_gaussians(classifier, distance):
    """N(0, 1) against N(d, 1): Φ(d / √2) for the best classifier; the same distribution: ½."""
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 2000, 3))
    first[:, 1] += distance
    found = lesion_test(first, second, GROUPS, classifier, draws=50)
    assert found.value == pytest.approx(stats.norm.cdf(distance / np.sqrt(2)), abs=0.03)
    assert found.low < found.value < found.high


def test_a_mean_is_told_from_samples_by_its_spread():
    """Same mean, half the spread: no line between them, but a sphere."""
    rng = np.random.default_rng(2)
    samples, mean = rng.standard_normal((2, 2000, 3)) * np.array([1, 0.5])[:, None, None]
    areas = {name: lesion_test(mean, samples, GROUPS, name, draws=2).value for name in ("linear", "quadratic", "trees")}
    assert abs(areas["linear"] - 0.5) < 0.05 and areas["quadratic"] > 0.75 and areas["trees"] > 0.75


def test_pairs_stay_together_and_what_is_missing_is_passed_over():
    """Features that name the case: a pair that is split between folds would give the classifier the answer."""
    rng = np.random.default_rng(3)
    own = rng.standard_normal((200, 4))
    groups = [f"brain_{k}" for k in range(200)]
    assert 0.4 < lesion_test(own, own.copy(), groups, draws=2).value < 0.6
    few = [f"brain_{k % 20}" for k in range(200)]
    together = lesion_test(own + 0.1, own, few, draws=100)  # for the interval, the two are drawn together
    apart = two_sample_auc(Features(own + 0.1, "x", few), Features(own, "x", few), draws=100, classifier="quadratic")
    assert together.high - together.low < 0.5 * (apart.high - apart.low)
    holed = own.copy()
    holed[:20], holed[30, 1], holed[:, 3] = np.nan, np.nan, np.nan
    found = lesion_test(holed, own, groups, draws=2)
    assert found.n_edits == found.n_real == 180
    with pytest.raises(ValueError, match="wanted two rows and a group a case"):
        lesion_test(own, own[:-1], groups)

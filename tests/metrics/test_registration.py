# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.metrics import edit_log_jacobian, log_jacobian, register, ventricle_growth


def _grid(shape, spacing):
    """Points in mm, the middle at 0."""
    return np.stack(np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing)], indexing="ij"))


@pytest.mark.parametrize("shape, spacing", [((12, 9), (2.0, 2.0)), ((12, 9), (1.0, 3.0)), ((9, 8, 7), (1.0, 2.0, 3.0))])
def test_log_jacobian_of_linear_maps(shape, spacing):
    points, n = _grid(shape, spacing), len(shape)
    assert log_jacobian(0.1 * points, spacing) == pytest.approx(n * np.log(1.1))
    stretch = np.zeros_like(points)
    stretch[0] = -0.25 * points[0]
    assert log_jacobian(stretch, spacing) == pytest.approx(np.log(0.75))
    turned = points.copy()  # by 90°: no change of area
    turned[0], turned[1] = -points[1], points[0]
    assert log_jacobian(turned - points, spacing) == pytest.approx(0)
    assert log_jacobian(np.ones_like(points), spacing) == pytest.approx(0)
    folded = log_jacobian(-2 * points if n % 2 else np.stack([-2 * points[0], 0 * points[1]]), spacing)
    assert folded == pytest.approx(np.log(0.02))


def test_a_third_component_of_a_slice_does_not_count():
    points = _grid((8, 8), (1.0, 1.0))
    with_z = np.concatenate([0.1 * points, np.random.default_rng(0).standard_normal((1, 8, 8))])
    assert log_jacobian(with_z, 1.0) == pytest.approx(2 * np.log(1.1))


def _brain(points: np.ndarray) -> np.ndarray:
    """A textured ball with two dark ventricles, as a function of place (mm), so that it can be deformed exactly."""
    radius = np.sqrt((points**2).sum(axis=0))
    texture = 0.05 * np.sin(points[0] / 4 + 1) * np.cos(points[1] / 5)
    value = np.clip((46 - radius) / 2, 0, 1) * (0.7 + texture)
    for side in (-1, 1):
        away = np.sqrt((points[0] - 11 * side) ** 2 + (points[1:] ** 2).sum(axis=0))
        value = value + (0.15 - value) * np.clip((8 - away) / 2 + 0.5, 0, 1)
    return value


def _pair(dims: int, growth: float):
    """Prior and edit, in which everything around the right ventricle is magnified, and the true log-Jacobian."""
    spacing = (2.0,) * 2 if dims == 2 else (2.6,) * 3
    points = _grid((56, 52) if dims == 2 else (40, 37, 34), spacing)
    centre = np.array([11.0, 0, 0])[:dims].reshape(-1, *[1] * dims)

    def forward(places):
        local = places - centre
        return places + growth * local * np.exp(-(local**2).sum(axis=0) / (2 * 9**2))

    source = points.copy()
    for _ in range(60):  # the edit at r shows the prior at the inverse of r
        source = source - (forward(source) - points)
    labels = np.zeros(points.shape[1:], int)
    for label, side in ((1, -1), (2, 1)):
        labels[((points[0] - 11 * side) ** 2 + (points[1:] ** 2).sum(axis=0)) < 7**2] = label
    return _brain(points), _brain(source), labels, spacing, log_jacobian(forward(points) - points, spacing)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dims, growth", [(2, 0.3), (2, -0.25), (3, 0.3)])
def test_a_known_expansion_is_found(dims, growth):
    prior, edit, labels, spacing, true = _pair(dims, growth)
    nowhere = np.zeros(prior.shape, bool)
    left, right = ventricle_growth(prior, edit, nowhere, labels, spacing)
    expected = true[labels == 2].mean()
    assert np.sign(right) == np.sign(growth)
    assert 0.5 < right / expected < 1.3
    assert abs(left) < 0.25 * abs(right)
    found = edit_log_jacobian(prior, edit, nowhere, spacing)
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.6
    assert np.isfinite(found).all()


@pytest.mark.slow
def test_the_field_goes_from_prior_to_edit():
    """Everything 4 mm to the right: the edit at r + u shows the prior at r, so u_x = +4."""
    prior = _brain(_grid((60, 52), (2.0, 2.0)))
    field = register(prior, np.roll(prior, 2, axis=0), 2.0)
    inside = ndimage.binary_erosion(prior > 0.3, iterations=2)
    assert field[0][inside].mean() == pytest.approx(4, abs=0.7)
    assert abs(field[1][inside].mean()) < 0.3


def test_no_change_is_no_deformation():
    prior = _brain(_grid((48, 40), (2.0, 2.0)))
    assert np.abs(register(prior, prior, 2.0)).max() < 1e-6


@pytest.mark.slow
def test_the_lesion_itself_pulls_nothing():
    prior = _brain(_grid((48, 48), (2.0, 2.0)))
    lesion = np.zeros(prior.shape, bool)
    lesion[33:38, 24:29] = True
    edit = np.where(lesion, 0.1, prior)
    assert np.abs(edit_log_jacobian(prior, edit, lesion, 2.0)).max() < 1e-6
    assert np.abs(log_jacobian(register(prior, edit, 2.0), 2.0)).max() > 0.1


def test_the_same_numbers_every_time():
    prior, edit, *_ = _pair(2, 0.3)
    assert np.array_equal(register(prior, edit, 2.0), register(prior, edit, 2.0))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: register(np.zeros((20, 20)), np.zeros((20, 21)), 1.0), "the edit has shape"),
        (lambda: register(np.zeros((20, 12)), np.zeros((20, 12)), 1.0), "at least 16 voxels"),
        (lambda: register(np.zeros((20, 20)), np.zeros((20, 20)), 1.0, smoothing_mm=0), "smoothing is 0"),
        (lambda: log_jacobian(np.zeros((1, 8, 8)), 1.0), "wanted 2xHxW"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

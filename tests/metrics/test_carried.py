# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of carried labels where the answer is known: stretches, shifts, halves of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import CarriedVentricleMetric, carried_change, carried_sizes
from mededit_monai.metrics.carried import in_steps, lesion_size, size_unit


def grid(shape: tuple[int, ...]) -> np.ndarray:
    """Distance of every voxel from the middle, in voxels along each axis."""
    return np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))


def box(shape: tuple[int, ...], half: float) -> np.ndarray:
    return (np.abs(grid(shape)) < half).all(axis=0)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("factor", [1.25, 0.8])
def test_a_stretch_by_a_factor_changes_the_volume_by_its_power(dims, factor):
    """out(r) = in(r / a): a cube of side s becomes one of side a s, in mm as in voxels."""
    shape, spacing = (48,) * dims, 2.0
    labels = box(shape, 10).astype(np.uint8)
    displacement = (1 / factor - 1) * grid(shape) * spacing
    before, after = carried_sizes(labels, displacement, np.zeros(shape), spacing, (1,))[0]
    assert before == pytest.approx((20 * spacing) ** dims * size_unit(1.0, dims))
    assert after / before == pytest.approx(factor**dims, rel=2e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_shift_changes_nothing_and_a_fraction_of_a_voxel_is_counted(dims):
    shape = (24,) * dims
    labels = box(shape, 5).astype(np.uint8)
    for step in (0.0, 0.3, 2.0, -1.7):
        moved = np.zeros((dims, *shape))
        moved[0] = step
        assert carried_change(labels, moved, 0 * labels, 1.0, (1,))[0] == pytest.approx(0, abs=1e-4)
    wall = np.zeros((dims, *shape))
    wall[0, shape[0] // 2 :] = -0.3  # the right half is taken from 0.3 voxel to the left: its wall moves right by that
    face = 10 ** (dims - 1) * size_unit(1.0, dims)
    assert carried_change(labels, wall, 0 * labels, 1.0, (1,))[0] == pytest.approx(0.3 * face, rel=1e-5)


def test_what_lies_under_the_lesion_counts_neither_before_nor_after():
    labels, lesion = np.zeros((10, 4)), np.zeros((10, 4))
    labels[2:6] = 1
    labels[7:9] = 2
    lesion[5] = 1
    still, shifted = np.zeros((2, 10, 4)), np.zeros((2, 10, 4))
    shifted[0] = 1.0  # everything one voxel to the left: label 1 in rows 1 … 4, none of it under the lesion
    assert carried_sizes(labels, still, lesion, 1.0).tolist() == [[12, 12], [8, 8]]
    assert carried_sizes(labels, shifted, lesion, 1.0) == pytest.approx(np.array([[12, 16], [8, 8]]), rel=1e-6)
    assert lesion_size(lesion, 2.0) == 16


def test_components_in_mm_by_the_axis_they_lie_along():
    steps = in_steps(np.ones((3, 4, 4)), np.zeros((4, 4)), (2.0, 0.5))
    assert steps.shape == (2, 4, 4) and (steps[0] == 0.5).all() and (steps[1] == 2).all()
    with pytest.raises(ValueError, match=r"shape \(1, 4, 4\); wanted 2 components"):
        in_steps(np.ones((1, 4, 4)), np.zeros((4, 4)), 1.0)
    with pytest.raises(ValueError, match="not finite"):
        in_steps(np.full((2, 4, 4), np.nan), np.zeros((4, 4)), 1.0)


@pytest.mark.parametrize(("dims", "unit"), [(2, 4.0), (3, 8e-3)])
def test_the_metric_measures_estimate_and_truth_alike(dims, unit):
    """Two ventricles of 10 voxels' width; in truth the right one's wall moves by 3 voxels, in the estimate by 1."""
    shape = (40, *(12,) * (dims - 1))
    labels = np.zeros(shape)
    labels[5:15], labels[20:30] = 1, 2
    fields = np.zeros((2, dims, *shape))
    fields[0, 0, 25:34], fields[1, 0, 25:34] = -2.0, -6.0  # mm of voxels of 2 mm
    case = {"displacement": fields[0], "true_displacement": fields[1], "prior_ventricles": labels}
    case["pathology"] = np.zeros(shape)
    case["pathology"][38:] = 1
    metric = CarriedVentricleMetric(2.0)
    found = dict(zip(metric.columns, metric.measure(np.zeros(shape), case)))
    face = 12 ** (dims - 1) * unit
    assert found["ventricle_right_predicted"] == found["ventricle_change_predicted"] == pytest.approx(face)
    assert found["ventricle_right_true"] == found["ventricle_change_true"] == pytest.approx(3 * face)
    assert found["ventricle_left_predicted"] == found["ventricle_left_true"] == 0
    assert found["ventricle_change_error"] == pytest.approx(2 * face)
    assert found["ventricle_change_idle_error"] == pytest.approx(3 * face)
    assert found["sign_right"] == 1 and found["lesion_size"] == pytest.approx(2 * face)
    case["displacement"] = -fields[0]
    assert dict(zip(metric.columns, metric.measure(np.zeros(shape), case)))["sign_right"] == 0
    case["true_displacement"] = fields[0] / 100  # too little for a sign
    assert np.isnan(dict(zip(metric.columns, metric.measure(np.zeros(shape), case)))["sign_right"])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a displacement, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import EndPointMetric, FieldMetric, TrueFieldMetric
from mededit_monai.metrics.displacement import (
    end_point_error,
    far_displacement,
    round_trip,
    smallest_jacobian,
    still_share,
    written_inverse,
)
from mededit_monai.space.flow import exponentiate


def test_end_point_error_by_hand():
    """Truth (3, 4) mm in two voxels, 0.2 mm in one, nothing in the others; one of the two lies under the lesion."""
    true, found, brain, lesion = np.zeros((2, 6, 1)), np.zeros((2, 6, 1)), np.ones((6, 1)), np.zeros((6, 1))
    true[:, 0, 0] = true[:, 1, 0] = true[:, 4, 0] = 3, 4
    true[0, 2] = 0.2
    lesion[1], brain[5] = 1, 0
    found[:, 0, 0] = 3, 3
    result = end_point_error(found, true, lesion, brain)
    assert (result.error, result.idle) == (pytest.approx((1 + 5) / 2), pytest.approx(5))
    assert result.moved == pytest.approx(2 / 4)
    assert EndPointMetric().measure(
        brain, {"displacement": true, "true_displacement": true, "pathology": lesion, "brain": brain}
    ) == (0, pytest.approx(5), pytest.approx(0.5))
    assert np.isnan(end_point_error(found, 0 * true, lesion, brain).error)
    with pytest.raises(ValueError, match="as its truth"):
        end_point_error(found[:, 1:], true, lesion, brain)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("slope", [0.5, -0.25, -1.5])
def test_the_jacobian_of_a_linear_map(dims, slope):
    """x → x + slope x along one axis: 1 + slope, in mm as in voxels; below 0 it folds."""
    shape = (12, *(8,) * (dims - 1))
    field = np.zeros((dims, *shape))
    field[0] = slope * 2.0 * np.arange(12).reshape(-1, *[1] * (dims - 1))
    assert smallest_jacobian(field, np.ones(shape), 2.0) == pytest.approx(1 + slope, abs=1e-5)
    assert smallest_jacobian(0 * field, np.ones(shape), 2.0) == 1
    corner = np.zeros(shape)
    corner[(0,) * dims] = 1  # only there is it looked at
    field[0, 6:] = 0
    assert smallest_jacobian(field, corner, 2.0) == pytest.approx(1 + slope, abs=1e-5)


def test_still_and_far():
    field, brain, lesion = np.zeros((2, 50, 1)), np.ones((50, 1)), np.zeros((50, 1))
    lesion[0], brain[40:] = 1, 0
    field[0, :10], field[1, 35], field[1, 45] = 2.0, -0.5, 9.0
    assert still_share(field, brain) == pytest.approx(29 / 40)
    assert far_displacement(field, lesion, brain, 2.0) == pytest.approx(0.5)  # 70 mm; 90 mm is outside of the brain
    assert far_displacement(field, lesion, brain, 1.0) != far_displacement(field, lesion, brain, 1.0)  # none so far
    assert np.isnan(far_displacement(field, 0 * lesion, brain, 2.0))
    tiny = np.full((2, 4, 1), 1e-7)
    assert still_share(tiny, np.ones((4, 1))) == 0


@pytest.mark.parametrize("dims", [2, 3])
def test_a_flow_is_undone_by_its_inverse_and_not_by_its_negative(dims):
    shape = (40,) * dims
    away = np.stack(np.meshgrid(*(np.arange(40) - 19.5,) * dims, indexing="ij"))
    bump = np.exp(-(away**2).sum(axis=0) / (2 * 6.0**2))
    velocity = np.zeros((dims, *shape), np.float32)
    velocity[0] = 6 * bump
    there, back, brain = exponentiate(velocity) * 2.0, exponentiate(-velocity) * 2.0, np.ones(shape)
    of_flow = round_trip(there, back, brain, 2.0).max()
    written = written_inverse(there, back, 2.0)
    assert round_trip(there, written, brain, 2.0).max() < 0.02 < of_flow < 0.2
    assert round_trip(there, -there, brain, 2.0).max() > 1
    assert round_trip(there, 0 * there, brain, 2.0).max() == pytest.approx(np.abs(there).max() / 2)
    case = {"displacement": there, "inverse": back, "true_displacement": 2 * there}
    case |= {"pathology": bump > 0.9, "brain": brain}
    found = dict(zip(FieldMetric.columns, FieldMetric(2.0).measure(bump, case)))
    assert found["round_trip"] < 0.02 and found["round_trip_of_flow"] == pytest.approx(of_flow)
    assert found["largest"] == pytest.approx(np.abs(there).max()) and 0 < found["jacobian"] < 1
    assert TrueFieldMetric(2.0).measure(bump, case)[2] == pytest.approx(2 * found["largest"])


def test_a_round_trip_by_hand():
    """u is 2 steps everywhere but at voxel 4, where it is 1; x is -1 everywhere: what is left is u(r - 1) - 1."""
    field, back, brain = np.full((2, 8, 1), 0.0), np.zeros((2, 8, 1)), np.ones((8, 1))
    field[0], field[0, 4], back[0] = 4.0, 2.0, -2.0  # mm of steps of 2 mm
    assert round_trip(field, back, brain, 2.0).tolist() == pytest.approx([1, 1, 1, 1, 1, 0, 1, 1])

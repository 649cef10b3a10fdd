# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Flows of velocity fields: known closed forms, positive Jacobians, and points that stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.space.fields import vector_noise
from mededit_monai.space.flow import exponentiate, jacobian, warp


def test_flow_of_a_constant_is_a_shift():
    velocity = np.zeros((2, 40, 30), np.float32)
    velocity[0] = 3.3
    assert exponentiate(velocity) == pytest.approx(velocity, abs=1e-4)


def test_flow_of_a_linear_field_is_the_exponential():
    """dr/dt = c·r has r(1) = e^c r."""
    grid = np.stack(np.meshgrid(np.arange(81) - 40.0, np.arange(81) - 40.0, indexing="ij"))
    found = exponentiate((-0.5 * grid).astype(np.float32))
    wanted = (np.exp(-0.5) - 1) * grid
    assert np.abs(found - wanted).max() < 0.02  # a midpoint step of at most a quarter of a pixel


@pytest.mark.parametrize("shape", [(80, 90), (28, 30, 26)])
def test_jacobian_stays_positive_where_the_field_itself_would_fold(shape):
    rng = np.random.default_rng(1)
    velocity = vector_noise(len(shape), shape, 6.0, 14.0, rng)
    assert jacobian(velocity).min() < 0 < jacobian(exponentiate(velocity)).min()


def test_a_point_without_velocity_stays_and_keeps_its_bytes():
    rng = np.random.default_rng(2)
    velocity = vector_noise(2, (60, 60), 8.0, 4.0, rng)
    velocity[:, :20] = 0
    pull = exponentiate(velocity)
    plane = rng.random((1, 60, 60), dtype=np.float32)
    assert not pull[:, :20].any()
    assert np.array_equal(warp(plane, pull)[:, :20], plane[:, :20]) and not np.array_equal(warp(plane, pull), plane)


def test_no_velocity_no_displacement():
    assert not exponentiate(np.zeros((3, 4, 5, 6), np.float32)).any()


def test_jacobian_of_a_stretch():
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0), np.arange(20.0), indexing="ij"))
    field = grid * np.array([0.5, -0.2, 0.0]).reshape(3, 1, 1, 1)
    assert jacobian(field) == pytest.approx(1.5 * 0.8)
    assert jacobian(field[:2, :, :, 0]) == pytest.approx(1.2)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.metrics.slice_steps import SliceStepMetric, slice_step


def test_steps_along_the_third_axis_inside_the_lesion_alone():
    image = np.zeros((3, 3, 5))
    image[1, 1] = [0.9, 0.1, 0.4, 0.2, 0.9]
    lesion = np.zeros((3, 3, 5))
    lesion[1, 1, 1:4] = 1  # steps into the lesion and out of it are its border's
    assert slice_step(image, lesion) == pytest.approx((0.3 + 0.2) / 2, abs=1e-7)
    turned = lesion.transpose(2, 1, 0)
    assert np.isnan(slice_step(image.transpose(2, 1, 0), turned))  # one slice: no step along the third axis
    assert np.isnan(slice_step(image, np.eye(3)[..., None] * [1, 0, 0, 0, 0]))


def test_slices_painted_one_by_one_step_more():
    """White noise s in every slice against noise that all slices share: √2 · s · √(2/π) apart, and not at all."""
    rng, lesion = np.random.default_rng(0), np.ones((32, 32, 8))
    shared = np.repeat(rng.normal(0.5, 0.1, (32, 32, 1)), 8, axis=2)
    own = rng.normal(0.5, 0.1, (32, 32, 8))
    assert slice_step(shared, lesion) == 0
    assert slice_step(own, lesion) == pytest.approx(0.1 * np.sqrt(2) * np.sqrt(2 / np.pi), rel=0.03)
    metric = SliceStepMetric()
    edit, truth = (torch.from_numpy(one)[None, None].float() for one in (own, shared))
    found = metric(edit, {"image": truth, "pathology": torch.ones(1, 1, 32, 32, 8)})
    assert found[0].tolist() == pytest.approx([slice_step(own, lesion), 0], abs=1e-6)

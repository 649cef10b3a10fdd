# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A bias field that was put on a brain is found again."""

from __future__ import annotations

import numpy as np

from mededit_monai.prepare.bias import bias_field
from mededit_monai.prepare.register import template_brain


def test_a_known_field():
    template = template_brain().coarser(6.0)
    brain = template.data > 0.1
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in brain.shape), indexing="ij")
    true = np.exp(0.25 * x - 0.2 * y * y + 0.15 * z)
    true /= np.exp(np.log(true[brain]).mean())
    even = bias_field(template.data, brain, template.affine)
    found = bias_field(700 * template.data * true, brain, template.affine)
    assert found.dtype == np.float32 and (found[~brain] == 1).all() and (found > 0).all()
    assert abs(np.log(found[brain]).mean()) < 0.02
    # The template is not quite even to N4 itself; what was put on it comes on top.
    error = np.log(found / even)[brain] - np.log(true)[brain]
    assert np.log(true)[brain].std() > 0.1 and error.std() < 0.02


def test_nothing_to_fit():
    assert (bias_field(np.zeros((20, 20, 20)), np.ones((20, 20, 20), bool), np.diag([4.0, 4, 4, 1])) == 1).all()

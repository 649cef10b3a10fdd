# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics.contrast import core_contrast, lesion_contrast


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

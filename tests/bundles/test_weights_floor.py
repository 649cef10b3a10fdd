# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shipped weights reach their floor on held-out simulated pairs; the same as ``make check-weights``."""

from __future__ import annotations

import pytest

from mededit_monai.paths import bundle_root
from mededit_monai.reports.weight_check import CONTRAST_FLOOR, CORE_FLOOR, GRADIENT_CEILING, check_weights
from mededit_monai.transforms.conditions import CONDITION_WEIGHTS

SHIPPED = [
    (bundle, condition)
    for bundle in ("stroke", "tumor")
    for condition, name in CONDITION_WEIGHTS.items()
    if (bundle_root(bundle) / "models" / name).is_file()
]


@pytest.mark.slow
@pytest.mark.parametrize(("bundle", "condition"), SHIPPED)
def test_shipped_weights_reach_their_floor(bundle, condition):
    result = check_weights(bundle, condition=condition)
    assert result["contrast"] >= CONTRAST_FLOOR
    assert result["gradient_ratio"] <= GRADIENT_CEILING
    if condition == "regions":
        assert result["cores"] and result["core_present"] >= CORE_FLOOR

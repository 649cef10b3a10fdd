# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shipped weights reach their floor on held-out simulated pairs; the same as ``make check-weights``."""

from __future__ import annotations

import pytest

from mededit_monai.paths import bundle_root
from mededit_monai.reports.weight_check import check_weights, missed_floors
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
    assert check_weights(bundle, condition=condition)["missed"] == []


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"strength": 0.5}, ["strength"]),
        ({"contrast": 0.4}, ["contrast"]),
        ({"contrast": 0.4, "condition": "mask"}, []),
        ({"contrast": 0.4, "condition": "mask", "disease": "stroke"}, ["contrast"]),
        ({"core_present": 0.8}, ["core_present"]),
        ({"core_present": 0.8, "condition": "mask"}, []),
        ({"core_present": None, "gradient_ratio": float("nan")}, ["gradient_ratio"]),
    ],
)
def test_floors(change, missed):
    """A mask leaves a tumour's pattern open, and so its core; everything else must be reached. No figure is a miss."""
    fine = {"disease": "tumor", "condition": "regions", "strength": 1, "contrast": 1, "core_present": 1}
    assert missed_floors({**fine, "gradient_ratio": 1.2, **change}) == missed

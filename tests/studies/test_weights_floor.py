# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shipped weights reach their floor on held-out simulated pairs; the same as ``make check-weights``."""

from __future__ import annotations

import pytest

from mededit_monai.core.paths import bundle_root
from mededit_monai.io.weight_files import find_weights
from mededit_monai.space.conditions import CONDITION_WEIGHTS
from studies.weight_check import check_weights, missed_floors

SHIPPED = [
    (bundle, condition, "mededit")
    for bundle in ("stroke", "tumor")
    for condition, name in CONDITION_WEIGHTS.items()
    if find_weights(bundle_root(bundle), name).is_file()
] + [("stroke", "mask", "morph"), ("tumor", "regions", "morph")]


@pytest.mark.slow
@pytest.mark.parametrize(("bundle", "condition", "method"), SHIPPED)
def test_shipped_weights_reach_their_floor(bundle, condition, method):
    assert check_weights(bundle, condition=condition, method=method)["missed"] == []


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"contrast": 0.4}, ["contrast"]),
        ({"contrast": 0.4, "told_contrast": 0.5}, ["contrast"]),
        ({"contrast": 0.46, "told_contrast": 0.5}, []),  # a mask leaves open where the rim lies
        ({"contrast": float("nan")}, ["contrast"]),
        ({"core_present": 0.8}, ["core_present"]),
        ({"core_present": 0.8, "condition": "mask"}, []),  # a mask does not ask for a core at a place
        ({"core_present": None, "gradient_ratio": 1.6}, ["gradient_ratio"]),
    ],
)
def test_floors(change, missed):
    fine = {"condition": "regions", "contrast": 1, "told_contrast": 1, "core_present": 1, "gradient_ratio": 1.2}
    assert missed_floors({**fine, **change}) == missed

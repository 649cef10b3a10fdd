# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The floor of the shipped weights on 20 held-out simulated cases; the same as ``make check-weights``."""

from __future__ import annotations

import pytest

from mededit_monai.reports.weight_check import DROP_FLOOR, GRADIENT_CEILING, check_weights


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["stroke"])
def test_shipped_weights_reach_the_floor(bundle):
    result = check_weights(bundle)
    assert result["drop_ratio"] >= DROP_FLOOR
    assert result["gradient_ratio"] <= GRADIENT_CEILING

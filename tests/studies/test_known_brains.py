# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Brains of the training against held-out ones: ratios and differences by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from studies.known_brains import compare, known_brains, markdown, ratios_of


def case(brain: str, error: float, idle: float, end: str = "") -> dict[str, str]:
    found = {"anatomy": brain, "truth_error_zone": str(error), "truth_idle_error_zone": str(idle)}
    found |= {"end_point_error": end, "end_point_idle": "2"}
    return found | {"carried_ventricle_change_error": "1", "carried_ventricle_change_idle_error": "4"}


def test_a_brain_s_cases_count_together():
    found = ratios_of([case("a", 1, 2), case("a", 1, 8, "1"), case("b", 3, 3, "2")])
    assert found["a"] == {"error in M∖p": 0.2, "end-point error": 0.5, "carried ventricle error": 0.25}
    assert found["b"]["error in M∖p"] == 1 and found["b"]["end-point error"] == 1


def test_difference_by_hand():
    found = compare([0.4, 0.5, 0.6], [0.7, 0.8])
    assert found["difference"] == pytest.approx(-0.25) and found["low"] <= -0.25 <= found["high"] < 0
    assert found["p"] == pytest.approx(0.2)  # the most extreme of 10 orders, two-sided
    same = compare([0.5] * 4, [0.5] * 3)
    assert same["difference"] == same["low"] == same["high"] == 0


def test_page():
    figures = {"error in M∖p": compare([0.5, 0.5], [0.75]), "end-point error": None}
    brains = {"a": {"x": 0.5}, "b": {"x": 0.5}, "c": {"x": 0.75}, "d": {"x": np.nan}}
    content = {"note": "Synthetic.", "disease": "stroke", "spatial_dims": 2, "cases": 8, "figures": figures}
    page = markdown(content | {"members": {"known": ["a", "b"], "others": ["c"]}, "brains": brains})
    assert "| error in M∖p | 0.500 | 0.750 | -0.250 (-0.250 … -0.250) |" in page and "2 brains of the training" in page
    assert "| c | no | 0.750 |" in page and "| d | validation | nan |" in page and "| a | yes |" in page


def test_too_few_to_be_divided(tmp_path):
    with pytest.raises(InputError):
        known_brains(tmp_path / "out", "stroke", str(tmp_path / "none"))

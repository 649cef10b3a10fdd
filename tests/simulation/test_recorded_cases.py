# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A seed still gives the case that it gave, to 1e-4; bytes, and volumes, are compared by studies.golden."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import REPOSITORY

from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.plan import Case, Recipe

#: Disease, number and kind → means over 16x16 tiles, or the lesion's pixels, as version 4 of the simulator drew them.
RECORDED = json.loads((REPOSITORY / "tests" / "data" / "recorded_cases.json").read_bytes())


@pytest.mark.one_in(2)
@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_the_same_cases(disease):
    for number in range(3):
        case = Case("check", number, "icbm152")
        pair = draw_case(Recipe(disease, 3, seed=5), case, load_anatomy("icbm152"), LesionPool())
        for key in ("image", "prior"):
            tiles = np.asarray(pair[key], dtype=np.float64).squeeze().reshape(16, 8, 16, 8).mean(axis=(1, 3))
            assert np.abs(tiles.ravel() - RECORDED[f"{disease} {number} {key}"]).max() < 1e-4
        assert (np.asarray(pair["pathology"]) > 0).sum() == RECORDED[f"{disease} {number} lesion"]

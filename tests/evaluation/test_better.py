# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Score by score, a row against another, on lines made up by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mededit_monai.evaluation.better import SCORES, advantages, distance_from_ideal, is_better
from mededit_monai.evaluation.write import csv_text
from mededit_monai.metrics.lesion_features import PLAIN

CASES = 60


def lines(row: str, seed: int, zone: float, contrast: float, gain: float, texture: float, shift: float) -> list[dict]:
    """Errors around ``zone``; change = gain x truth, nearly; features of the lesion ``shift`` off the truth."""
    rng, true = np.random.default_rng(seed), np.random.default_rng(0).uniform(10, 300, CASES)
    features = np.random.default_rng(1).standard_normal((CASES, len(PLAIN)))
    found = []
    for k in range(CASES):
        names = {"row": row, "case_id": f"c{k}", "anatomy": f"brain_{k % 6}"}
        paired = {"truth_error_zone": zone + 1e-3 * rng.random(), "truth_error_outside": zone / 2}
        paired |= {"contrast_lesion": contrast, "against_truth_ventricle_change_true": true[k]}
        change = gain * true[k] + rng.standard_normal()
        paired |= {"against_truth_ventricle_change_predicted": change, "against_truth_lesion_size": 100 + 10 * k}
        own = features[k] + shift + 0.3 * rng.standard_normal(len(PLAIN))
        paired |= {f"features_edit_{name}": value for name, value in zip(PLAIN, own)}
        paired |= {f"features_true_{name}": value for name, value in zip(PLAIN, features[k])}
        found.append(names | {"pairing": "paired"} | paired)
        found.append(names | {"pairing": "thesis", "texture_texture": texture, "texture_texture_prior": 1.0})
    return found


def write(folder: Path, *rows: list[dict]) -> Path:
    place = folder / "metrics.csv"
    place.write_text(csv_text([line for row in rows for line in row]))
    return place


def test_better_by_every_score(tmp_path):
    new = lines("new", 2, zone=0.01, contrast=0.95, gain=0.9, texture=1.02, shift=0.0)
    old = lines("old", 3, zone=0.02, contrast=0.7, gain=0.4, texture=0.8, shift=1.5)
    found = {one.column: one for one in advantages(write(tmp_path, new, old), "new", "old", draws=200)}
    assert set(found) == set(SCORES)
    assert found["zone_error"].advantage == pytest.approx(0.01, abs=1e-3)
    assert found["contrast"].advantage == pytest.approx(0.3 - 0.05) and found["contrast"].new == pytest.approx(0.95)
    assert found["texture"].advantage == pytest.approx(0.2 - 0.02)
    assert found["ventricle_slope"].advantage == pytest.approx(0.5, abs=0.01)
    assert found["lesion_auc"].old > 0.9 and found["lesion_auc"].new < 0.6 and found["lesion_auc"].shown
    r_alone = {"ventricle_r"}  # both are nearly 1: better or not by chance
    assert all(one.shown and one.n_cases == CASES for name, one in found.items() if name not in r_alone)
    kept = [one for name, one in found.items() if name not in r_alone]
    verdict = is_better(kept, [name for name in SCORES if name not in r_alone])
    assert verdict["better"] and verdict["shown"] and not verdict["missing"]
    assert is_better(kept)["missing"] == ["ventricle_r"] and not is_better(kept)["better"]


def test_a_slope_beyond_one_is_as_far_off_as_one_below(tmp_path):
    new = lines("new", 2, zone=0.01, contrast=1.3, gain=1.6, texture=1.0, shift=0.0)
    old = lines("old", 3, zone=0.01, contrast=0.7, gain=0.5, texture=1.0, shift=0.0)
    keys = ("contrast", "ventricle_slope", "zone_error")
    found = {one.column: one for one in advantages(write(tmp_path, new, old), "new", "old", keys, draws=200)}
    assert found["contrast"].advantage == pytest.approx(0, abs=1e-9)
    assert found["ventricle_slope"].advantage == pytest.approx(0.5 - 0.6, abs=0.01)
    assert found["ventricle_slope"].high < 0 and not found["ventricle_slope"].better
    assert found["zone_error"].low < 0 < found["zone_error"].high and not found["zone_error"].shown


def test_only_cases_that_both_have(tmp_path):
    new = lines("new", 2, 0.01, 1, 1, 1, 0)[: 2 * 20]
    old = lines("old", 3, 0.02, 1, 1, 1, 0)[2 * 10 :]
    (found,) = advantages(write(tmp_path, new, old), "new", "old", ("zone_error",), draws=50)
    assert found.n_cases == 10
    assert advantages(write(tmp_path, new), "new", "old", ("zone_error",)) == []


def test_what_is_ideal():
    assert [distance_from_ideal(0.7, better) for better in ("lower", "higher", "one")] == pytest.approx(
        [0.7, -0.7, 0.3]
    )

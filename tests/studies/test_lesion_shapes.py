# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of masks whose description is known, and the comparison of two cohorts."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.moved_cohort import write_moved_cohort

from mededit_monai.core.errors import InputError
from studies import lesion_shapes
from studies.lesion_shapes import FEATURES, compare, matched, separability, shape_features


def ball(radius: float, stretch=(1.0, 1.0, 1.0), side: int = 61) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(side) - side // 2,) * 3, indexing="ij")
    return sum((g / s) ** 2 for g, s in zip(grid, stretch)) < radius**2


def test_a_ball():
    found = shape_features(ball(12))
    assert list(found) == list(FEATURES) and (found["pieces"], found["largest"], found["holes"]) == (1, 1, 0)
    assert found["sphericity"] == pytest.approx(1, abs=0.03) and found["thickness"] == pytest.approx(1, abs=0.05)
    assert found["flatness"] == pytest.approx(1, abs=0.01) and found["filling"] == pytest.approx(np.pi / 6, abs=0.08)
    assert found["roughness"] == pytest.approx(0, abs=0.04)


def test_what_each_figure_is_about():
    flat = shape_features(ball(14, (1.5, 1, 0.4)))
    assert (
        flat["flatness"] == pytest.approx(0.4 / 1.5, abs=0.02) and flat["thickness"] < 0.6 and flat["sphericity"] < 0.9
    )
    both = ball(10)
    both[:8, :8, :8] = True
    two = shape_features(both)
    assert two["pieces"] == 2 and two["largest"] == pytest.approx(1 - 512 / both.sum()) and two["filling"] < 0.2
    hollow = ball(12) & ~ball(5)
    assert shape_features(hollow)["holes"] == pytest.approx(ball(5).sum() / ball(12).sum())
    crumbled = ball(12) & (np.random.default_rng(0).random((61, 61, 61)) < 0.7)
    assert shape_features(crumbled)["roughness"] > shape_features(ball(12))["roughness"] + 0.1


def test_matches_are_the_nearest_and_different():
    sizes = [np.ones((n, 1, 1), bool) for n in (10, 100, 1000, 90)]
    assert matched([sizes[1], sizes[0]], sizes) == [1, 0]
    assert sorted(matched([sizes[1], sizes[1]], sizes)) == [1, 3]


@pytest.mark.slow
def test_what_differs_is_told_apart_and_what_does_not_is_not():
    rng = np.random.default_rng(0)
    same = [rng.standard_normal((60, 4)) for _ in range(2)]
    assert all(0.3 < value < 0.7 for value in separability(*same).values())
    assert all(value > 0.95 for value in separability(same[0], same[1] + [3, 0, 0, 0]).values())


@pytest.mark.slow
def test_two_cohorts(tmp_path, monkeypatch):
    monkeypatch.setattr(lesion_shapes, "SMALLEST", 5)
    cohorts = [write_moved_cohort(tmp_path / name, 3, counts=(1, 1, 10)) for name in ("drawn", "real")]
    text = compare(*map(str, cohorts))
    assert text.startswith("10 drawn masks") and text.count("\n| ") == 1 + len(FEATURES)
    flat = write_moved_cohort(tmp_path / "flat", 2, counts=(1, 1, 2))
    with pytest.raises(InputError, match="--drawn: .*flat holds slices, wanted volumes"):
        compare(str(flat), str(cohorts[1]))
    few = write_moved_cohort(tmp_path / "few", 3, counts=(1, 1, 2))
    with pytest.raises(InputError, match="--drawn: 2 masks"):
        compare(str(few), str(cohorts[1]))

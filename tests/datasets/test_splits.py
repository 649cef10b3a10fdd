# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Strata bounds and splits against counts made by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mededit_monai.datasets.splits import (
    SPLITS,
    PatientSlices,
    closest_subset,
    quartile_bounds,
    split_patients,
    stratum_of,
)
from mededit_monai.diseases import STRATA


def test_quartiles_by_hand():
    # 8 sorted sizes: quartiles lie at positions 1.75 and 5.25, so 4 + .75·(8-4) = 7 and 30 + .25·(50-30) = 35.
    bounds = quartile_bounds([50, 1, 4, 8, 10, 20, 30, 90])
    assert bounds == (7.0, 35.0)
    assert [stratum_of(s, bounds) for s in (6.9, 7, 35, 35.1)] == ["small", "medium", "medium", "large"]


def test_thesis_bounds_give_the_thesis_words():
    assert [stratum_of(s, (18.5, 371)) for s in (18, 19, 371, 372)] == ["small", "medium", "medium", "large"]


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [3, 5, 2], [4, 4], [7], [], [2, 2, 9, 1], [0, 3]])
def test_closest_subset_against_all_subsets(sizes):
    for target in range(sum(sizes) + 3):
        chosen = closest_subset(sizes, target)
        assert len(set(chosen)) == len(chosen)
        best = min(
            abs(sum(sizes[k] for k in s) - target)
            for n in range(len(sizes) + 1)
            for s in itertools.combinations(range(len(sizes)), n)
        )
        assert abs(sum(sizes[k] for k in chosen) - target) == best


def test_closest_subset_takes_the_first_of_equal_items():
    assert closest_subset([1] * 6, 4) == [0, 1, 2, 3]
    assert closest_subset([2, 2, 2], 3) == [0]  # two sums are as near: the smaller


def cohort(per_stratum: int, slices: int = 1, free: int = 0) -> dict[str, PatientSlices]:
    """``per_stratum`` patients of sizes 1, 10 (twice as many) and 100, and ``free`` without lesion."""
    patients = {}
    for size, count in ((1, per_stratum), (10, 2 * per_stratum), (100, per_stratum)):
        patients |= {f"p{size}_{k}": PatientSlices((size,) * slices, 0) for k in range(count)}
    return patients | {f"free_{k}": PatientSlices((), 2) for k in range(free)}


def counted(patients: dict[str, PatientSlices], split: dict[str, str], bounds=(5.0, 50.0)) -> dict[str, dict]:
    table = {s: dict.fromkeys((*STRATA, "free"), 0) for s in SPLITS}
    for name, slices in patients.items():
        for size in slices.sizes:
            table[split[name]][stratum_of(size, bounds)] += 1
        table[split[name]]["free"] += slices.lesion_free
    return table


def test_every_split_holds_the_strata_in_proportion():
    patients = cohort(100, free=50)
    table = counted(patients, split_patients(patients, (5, 50), 48, 0.1, seed=0))
    assert table["testing"] == {"small": 12, "medium": 24, "large": 12, "free": 12}  # 48 of 400 = 12 % of 100 slices
    # 352 others: 35 for validation. 44 patients without lesion are left: 4, with 2 slices each.
    assert sum(table["validation"][s] for s in STRATA) == 35 and table["validation"]["free"] == 8
    for stratum, share in (("small", 0.25), ("medium", 0.5), ("large", 0.25)):
        assert table["validation"][stratum] == pytest.approx(35 * share, abs=1)


@pytest.mark.parametrize("wanted", [0, 1, 54, 126, 400])
def test_the_test_list_hits_the_number(wanted):
    patients = cohort(100)
    split = split_patients(patients, (5, 50), wanted, 0.0, seed=3)
    assert sum(s == "testing" for s in split.values()) == wanted and "validation" not in split.values()


def test_whole_patients_come_as_close_as_they_can():
    rng = np.random.default_rng(1)
    patients = {f"p{k}": PatientSlices(tuple(rng.integers(1, 200, 2 + k % 3 * 2).tolist()), k % 2) for k in range(40)}
    split = split_patients(patients, (50, 150), 31, 0.1, seed=0)  # even numbers of slices only
    assert sum(len(patients[n].sizes) for n, s in split.items() if s == "testing") == 30


def test_seeded():
    patients = cohort(20, free=9)
    one = split_patients(patients, (5, 50), 10, 0.1, seed=0)
    assert one == split_patients(dict(reversed(patients.items())), (5, 50), 10, 0.1, seed=0)
    assert one != split_patients(patients, (5, 50), 10, 0.1, seed=1)


def test_small_cohorts():
    two = {"a": PatientSlices((5,), 0), "b": PatientSlices((5,), 0)}
    assert sorted(split_patients(two, (5, 5), 0, 0.1, 0).values()) == ["training", "validation"]
    assert list(split_patients({"a": PatientSlices((5,), 0)}, (5, 5), 0, 0.1, 0).values()) == ["training"]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which images are shown, how often, and in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from reader_study.toy import DESIGN

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.blinding import choose_images, make_items, rater_orders
from mededit_monai.reader_study.design import design_of
from mededit_monai.reader_study.images import Candidate

PLAN = design_of(DESIGN, "design")


def candidates(cases: int = 24) -> list[Candidate]:
    """Of every arm as many cases: a quarter small, half medium, a quarter large."""
    strata = ("small", "medium", "medium", "large")
    return [
        Candidate(arm.name, f"c{k:02d}", f"c{k:02d}", strata[k % 4], {"image": Path("x")})
        for arm in PLAN.arms
        for k in range(cases)
    ]


def test_strata_in_proportion():
    chosen = choose_images(candidates(), replace(PLAN, images=8), 0)
    assert len(chosen) == 24 and len({one.case for one in chosen}) == 24  # every arm shows other cases
    for arm in ("real", "smooth", "rough"):
        counts = Counter(one.stratum for one in chosen if one.arm == arm)
        assert counts == {"small": 2, "medium": 4, "large": 2}


def test_strata_alike_and_the_same_cases():
    chosen = choose_images(candidates(), replace(PLAN, images=6, strata="equal", same_cases=True), 0)
    cases = {arm: {one.case for one in chosen if one.arm == arm} for arm in ("real", "smooth", "rough")}
    assert cases["real"] == cases["smooth"] == cases["rough"]
    assert Counter(one.stratum for one in chosen) == {"small": 6, "medium": 6, "large": 6}


def test_too_few():
    with pytest.raises(InputError, match="there are 4 images of the arm 'real', wanted 5"):
        choose_images(candidates(4), replace(PLAN, images=5), 0)
    with pytest.raises(InputError, match="stratum 'small' of the arm 'real' has 1 images, wanted 2"):
        choose_images(candidates(4), replace(PLAN, images=4, strata="equal"), 0)
    only = [one for one in candidates(4) if one.arm != "rough" or one.case != "c00"]
    with pytest.raises(InputError, match="there are 3 images shared by all arms"):
        choose_images(only, replace(PLAN, images=4, same_cases=True), 0)


def test_items_and_repeats():
    chosen = choose_images(candidates(), PLAN, 0)
    items = make_items(chosen, PLAN, 0)
    assert len({item.code for item in items}) == len(items) == (12 + 3) + (8 + 3)
    assert {chosen[item.image].arm for item in items if item.stage == 1} == {"smooth", "rough"}
    again = Counter(chosen[item.image].arm for item in items if item.repeat and item.stage == 0)
    assert again == {"real": 1, "smooth": 1, "rough": 1}
    assert [item.code for item in items] == sorted(item.code for item in items)
    assert make_items(chosen, PLAN, 0) == items and make_items(chosen, PLAN, 1) != items
    with pytest.raises(InputError, match="repeats are 13, but stage 'Alone' has 12"):
        make_items(chosen, replace(PLAN, repeats=13), 0)


def test_orders():
    chosen = choose_images(candidates(), replace(PLAN, images=8, same_cases=True), 0)
    items = make_items(chosen, PLAN, 0)
    orders = rater_orders(items, chosen, PLAN, 0)
    for first, second in orders.values():
        assert sorted(first) == [item.code for item in items if item.stage == 0]
        assert sorted(second) == [item.code for item in items if item.stage == 1]
    assert orders["anna"] != orders["ben"]
    assert orders == rater_orders(items, chosen, PLAN, 0) != rater_orders(items, chosen, PLAN, 1)
    case = {item.code: chosen[item.image].case for item in items}
    for order in (one for stages in orders.values() for one in stages):
        names = [case[code] for code in order]
        assert all(names[k] not in names[k + 1 : k + 4] for k in range(len(names)))

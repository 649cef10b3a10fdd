# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from gaussian import scheduler

from mededit_monai.sampling.levels import evaluations, noise_levels, visits


@pytest.mark.parametrize(
    "levels, resample, jump, nfe",
    [
        (1000, 4, 1, 3997),  # the thesis: (T-1) U + 1
        (1000, 1, 1, 1000),
        (50, 2, 1, 99),
        (250, 10, 10, 2410),  # RePaint's published schedule
        (50, 2, 5, 95),
        (25, 2, 5, 45),
        (1, 4, 1, 1),
    ],
)
def test_number_of_evaluations(levels, resample, jump, nfe):
    assert evaluations(visits(levels, resample, jump)) == nfe


def test_order_of_moves():
    assert visits(3, resample=2) == [(2, 1), (1, 2), (2, 1), (1, 0), (0, 1), (1, 0), (0, -1)]
    assert visits(4, resample=2, jump=2) == [(3, 2), (2, 1), (1, 0), (0, 2), (2, 1), (1, 0), (0, -1)]


def test_no_resampling_at_low_noise():
    assert visits(4, resample=2, lowest=2) == [(3, 2), (2, 3), (3, 2), (2, 1), (1, 0), (0, -1)]
    assert visits(10, resample=4, lowest=10) == visits(10)
    moves = visits(30, resample=3, jump=4, lowest=11)
    assert min(origin for origin, target in moves if target > origin) == 12 and moves[-1] == (0, -1)


def test_every_path_is_connected_and_ends_clean():
    moves = visits(30, resample=3, jump=4)
    assert moves[0][0] == 29 and moves[-1] == (0, -1)
    assert all(before[1] == after[0] for before, after in zip(moves, moves[1:]))


@pytest.mark.parametrize("start, top", [(1.0, 999), (0.5, 499), (0.2, 199), (0.6, 599)])
def test_start_leaves_out_what_lies_above(start, top):
    assert noise_levels(scheduler(), 1000, "t", start).timesteps[-1] == top


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "1001"),
        ({"steps": 10, "spacing": "cosine"}, "cosine"),
        ({"steps": 10, "start": 0.0}, "start"),
        ({"steps": 1, "start": 0.5}, "leaves no noise level"),
    ],
)
def test_refuses(arguments, word):
    with pytest.raises(ValueError, match=word):
        noise_levels(scheduler(), **arguments)


def test_refuses_no_resampling():
    with pytest.raises(ValueError, match="resample"):
        visits(10, resample=0)

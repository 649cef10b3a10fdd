# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.lesions.territories import LANDMARKS, TERRITORIES, shares_of, side_of, territory_of


@pytest.mark.parametrize("mirror", [1, -1])
def test_landmarks_lie_in_their_territory(mirror):
    for name, places in LANDMARKS.items():
        points = np.array(list(places.values())) * [mirror, 1, 1]
        assert {TERRITORIES[k] for k in territory_of(points)} == {name}


def test_places_that_every_textbook_agrees_on():
    places = {"MCA": (-52, -10, 20), "ACA": (3, 55, 20), "PCA": (-6, -90, 5), "VB": (25, -65, -40)}
    for name, place in places.items():
        assert TERRITORIES[int(territory_of(np.array(place)))] == name


def test_a_point_counts_where_it_was_moved_to():
    points = np.array([[0.0, -90, 5], [0.0, -90, 5]])
    found = territory_of(points, np.array([[0, 0, 0], [-52, 80, 15]]))
    assert [TERRITORIES[k] for k in found] == ["PCA", "MCA"]


def test_left_is_negative_and_most_of_it_decides():
    assert side_of([-3, -2, -1]) == "left" and side_of([1, 2]) == "right"
    assert side_of([-1, -1, -1, 1]) == "both" and side_of([-1, -1, -1, -1, 1]) == "left"


def test_shares_add_up_the_largest_first():
    found = shares_of(np.array([[-52, -10, 20]] * 3 + [[3, 55, 20]]))
    assert list(found.items()) == [("MCA", 0.75), ("ACA", 0.25)]

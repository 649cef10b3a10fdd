# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from lesions.ball import box_mask

from mededit_monai.core.errors import InputError
from mededit_monai.lesions.places import Gaussian, Places, places_of, shipped
from mededit_monai.lesions.territories import TERRITORIES, territory_of


def test_a_folder_is_counted_by_territory_side_and_size(tmp_path):
    for k in range(6):
        box_mask(tmp_path / f"l{k}.nii.gz", (-45 - k, -10, 20), 10)  # 1 ml
        box_mask(tmp_path / f"r{k}.nii.gz", (45 + k, -10, 20), 10)
    box_mask(tmp_path / "small.nii.gz", (8, -85, 8), 4)
    box_mask(tmp_path / "middle.nii.gz", (0, 50, 20), 10)  # on both sides
    seen = []
    found = places_of(tmp_path, watch=lambda points, volume, name: seen.append((len(points), volume, name)))
    counts = {key: n for key, n in found.counts.items() if n}
    assert counts == {("MCA", "left", "medium"): 6, ("MCA", "right", "medium"): 6, ("PCA", "right", "small"): 1}
    assert sorted(seen) == [(64, 1.0, "PCA")] + [(1000, 1.0, "MCA")] * 12
    (cloud,) = found.clouds["MCA", "medium"]
    assert cloud.weight == 1 and cloud.mean == pytest.approx(
        (47.5, -10, 20), abs=1
    )  # both sides together, on the right
    assert found.clouds["PCA", "small"] == [] and found.clouds["MCA", "large"] == [cloud]  # too few: those of all sizes
    assert Places.from_json(json.loads(json.dumps(found.as_json()))).clouds == found.clouds


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no NIfTI masks"):
        places_of(tmp_path)


def test_sides_and_territories_are_chosen_as_often_as_they_were_counted():
    counts = {("MCA", "left", "small"): 30, ("MCA", "right", "small"): 10, ("PCA", "right", "small"): 60}
    places, rng = Places("", counts, {}), np.random.default_rng(0)
    found = [places.choose("small", None, None, rng) for _ in range(2000)]
    for pair, share in ((("left", "MCA"), 0.3), (("right", "MCA"), 0.1), (("right", "PCA"), 0.6)):
        assert found.count(pair) / 2000 == pytest.approx(share, abs=0.04)
    assert {places.choose("small", "left", None, rng) for _ in range(20)} == {("left", "MCA")}
    assert places.choose("large", "left", "VB", rng) == ("left", "VB")  # never counted, but asked for


def test_centres_lie_as_the_gaussians_say_and_on_the_side():
    cloud = Gaussian(1.0, (40.0, -10.0, 20.0), ((9.0, 0, 0), (0, 16.0, 12.0), (0, 12.0, 25.0)))
    places = Places("", {}, {("MCA", "small"): [cloud]})
    found = places.centres("MCA", "small", "left", 4000, np.random.default_rng(0))
    assert found.mean(axis=0) == pytest.approx([-40, -10, 20], abs=0.3)
    assert np.cov(found.T)[1:, 1:] == pytest.approx(np.array([[16, 12], [12, 25]]), abs=1.5)
    assert len(places.centres("PCA", "small", "left", 10, np.random.default_rng(0))) == 0


def test_the_table_that_is_shipped():
    """Every territory on both sides; centres of a territory lie in it for the most part."""
    places, rng = shipped(), np.random.default_rng(0)
    assert "CC0" in places.about and sum(places.counts.values()) > 1000
    for k, name in enumerate(TERRITORIES):
        assert all(places.counts[name, side, "medium"] > 10 for side in ("left", "right"))
        for stratum in ("small", "medium", "large"):
            centres = places.centres(name, stratum, "left", 500, rng)
            assert (centres[:, 0] <= 0).all() and (territory_of(centres) == k).mean() > 0.4

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What somebody who reads the page's source, but sees no pixels, can find out about which image is whose: nothing."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from reader_study.toy import ARMS, DESIGN, parts_of, write_design, write_images
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mededit_monai.reader_study import pictures
from mededit_monai.reader_study.make import make_study

CASES = 16
STAGE = DESIGN["stages"][0] | {"shows": ["image", "prior", "mask"]}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three arms that differ as much as can be in how smooth they are."""
    return write_images(tmp_path_factory.mktemp("blind"), CASES)


def features(folder) -> tuple[np.ndarray, list[str]]:
    """Everything about each item but its pixels, and its arm."""
    facts, drawn = parts_of(folder / "rating.html")
    key = json.loads((folder / "key.json").read_bytes())
    rows, arms = [], []
    for item in key["items"]:
        code = item["code"]
        row = [ord(letter) for letter in code]  # its name
        row.append(list(drawn).index(code))  # its place in the file
        row += [order[0].index(code) for order in facts["orders"].values()]  # its place in each rater's order
        for part in STAGE["shows"]:
            for png in drawn[code][part]:
                content = base64.b64decode(png)
                row += [len(png), len(content), content.find(b"IDAT"), content.count(b"IDAT"), *content[:33]]
        rows.append(row)
        arms.append(key["images"][item["image"]]["arm"])
    return np.array(rows, dtype=np.float64), arms


def accuracy(folder) -> float:
    """Share of items whose arm a forest names that has not seen them; 1/3 is chance."""
    rows, arms = features(folder)
    forest = RandomForestClassifier(50, random_state=0)
    named = cross_val_predict(forest, rows, arms, cv=StratifiedKFold(6, shuffle=True, random_state=0))
    return float(np.mean(named == np.array(arms)))


def make(tmp_path, images, seed):
    design = write_design(tmp_path, stages=[STAGE], images=CASES, repeats=0, arms={name: {} for name in ARMS})
    make_study(design, tmp_path / f"study_{seed}", images=images, seed=seed)
    return tmp_path / f"study_{seed}"


@pytest.mark.slow
def test_at_chance(tmp_path, images):
    """Two studies of 48 items: 0.33 is chance, 0.48 three standard deviations above."""
    found = [accuracy(make(tmp_path, images, seed)) for seed in (0, 1)]
    assert np.mean(found) < 1 / 3 + 3 * np.sqrt(2 / 9 / 96)


def test_files_that_are_deflated_would_tell(tmp_path, images, monkeypatch):
    """The test above can fail: how well pixels compress says which arm they are of."""
    stored = pictures.png

    def deflated(array, outlined=False):
        size = len(zlib.compress(np.ascontiguousarray(array).tobytes()))
        return stored(array, outlined) + b"\0" * size

    monkeypatch.setattr(pictures, "png", deflated)
    monkeypatch.setattr("mededit_monai.reader_study.page.require_one_size", lambda drawn: None)
    assert accuracy(make(tmp_path, images, 0)) > 0.8


def test_sizes_that_differ_are_noticed(tmp_path, images, monkeypatch):
    stored = pictures.png
    monkeypatch.setattr(pictures, "png", lambda array, outlined=False: stored(array) + b"\0" * int(array.sum() % 7))
    with pytest.raises(AssertionError, match="sizes, which would tell them apart"):
        make(tmp_path, images, 0)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded cohort: made once, the same cases whatever its size, whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mededit_monai.core.paths import default_cache
from mededit_monai.io.datalist import read_datalist
from mededit_monai.simulation import simulate
from mededit_monai.simulation.embedded import write_embedded_cohort


def content(datalist: Path, case: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((datalist.parent / case).iterdir())}


@pytest.mark.slow
def test_same_bytes_whatever_the_size(tmp_path):
    small = write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=3, progress=False)
    large = write_embedded_cohort(tmp_path, "stroke", 2, 2, seed=3, progress=False)
    other = write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=4, progress=False)
    assert len({small, large, other}) == 3
    for case in ("training_00000", "validation_00000"):
        assert content(small, case) == content(large, case)
        assert content(small, case)["image.nii"] != content(other, case)["image.nii"]
    assert content(large, "training_00000")["image.nii"] != content(large, "training_00001")["image.nii"]
    assert content(large, "training_00000")["image.nii"] != content(large, "validation_00000")["image.nii"]


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_lists_of_the_cohort_and_reading_it_back(tmp_path, monkeypatch, disease):
    written = write_embedded_cohort(tmp_path, disease, 2, 1, seed=0, progress=False)
    listed = json.loads(written.read_text())
    assert listed["synthetic"] is True
    assert [case["case_id"] for case in listed["training"]] == ["training_00000", "training_00001"]
    assert [case["split"] for case in listed["validation"]] == ["validation"] and not listed["testing"]
    assert all(("regions" in case) == (disease == "tumor") for case in read_datalist(written, "training"))
    monkeypatch.setattr(simulate, "draw_case", None)
    assert write_embedded_cohort(tmp_path, disease, 2, 1, seed=0, progress=False) == written


def test_an_interrupted_cohort_has_no_datalist(tmp_path, monkeypatch):
    original, left = simulate.draw_case, [1]

    def interrupted(*arguments):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return original(*arguments)

    monkeypatch.setattr(simulate, "draw_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=0, progress=False)
    assert list(tmp_path.rglob("*.nii")) and not list(tmp_path.rglob("datalist.json"))
    monkeypatch.setattr(simulate, "draw_case", original)
    assert len(read_datalist(write_embedded_cohort(tmp_path, "stroke", 1, 1, seed=0, progress=False))) == 2


def test_where_cohorts_are_cached(monkeypatch):
    monkeypatch.setenv("MEDEDIT_CACHE", "own")
    monkeypatch.setenv("XDG_CACHE_HOME", "users")
    assert default_cache() == Path("own")
    monkeypatch.delenv("MEDEDIT_CACHE")
    assert default_cache() == Path("users/mededit_monai")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "mededit_monai"

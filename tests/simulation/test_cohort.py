# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of the embedded cohort: what they share, where they may differ, and that they are the same ones every time."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mededit_monai.datasets.datalist import read_datalist
from mededit_monai.simulation import cohort
from mededit_monai.simulation.anatomy import icbm152
from mededit_monai.simulation.cohort import case_rng, default_cache, simulate_stroke, write_embedded_cohort
from mededit_monai.transforms.geometry import ModelGrid

FILES = ("image", "prior", "brain", "prior_brain", "pathology", "ventricles", "prior_ventricles")


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    """Twelve cases, each with the lesion (``lesion_mm``) and the displacement (``pull``) that made it, at 1 mm."""
    cases, seen = [], {}

    def ex_vacuo(ventricles, lesion, gain, original=cohort.ex_vacuo):
        seen["pull"] = original(ventricles, lesion, gain)
        return seen["pull"]

    def paint_stroke(image, lesion, fluid, rng, original=cohort.paint_stroke):
        seen["lesion_mm"] = lesion
        return original(image, lesion, fluid, rng)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort, "ex_vacuo", ex_vacuo)
        patch.setattr(cohort, "paint_stroke", paint_stroke)
        for k in range(12):
            cases.append(simulate_stroke(icbm152(), case_rng(0, "test", k)) | seen)
    return cases


def of_side(labels: np.ndarray, side: int) -> int:
    return int((labels == side).sum())


def center(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(0)


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_pair_is_identical_outside_lesion_and_displaced_tissue(pairs):
    grid = ModelGrid(spacing=(1.0, 1.0), start=(0, 0))
    shares = []
    for case in pairs:
        moved = (case["pull"] != 0).any(axis=0)
        softened = ndimage.binary_dilation(case["lesion_mm"], np.ones((3, 3)))
        reached = grid.to_model(moved | softened) > 0  # model pixels that see any of it
        assert np.array_equal(case["image"][~reached], case["prior"][~reached])
        assert (case["image"] != case["prior"])[case["pathology"]].all()
        shares.append((case["image"] == case["prior"])[case["brain"]].mean())
    assert min(shares) > 0.2 and np.median(shares) > 0.6


def test_lesion_is_darker_than_the_tissue_it_replaces(pairs):
    drops = [(case["prior"] - case["image"])[case["pathology"]].mean() for case in pairs]
    assert min(drops) > 0.05 and np.median(drops) > 0.25


def test_images_are_in_range_and_end_at_the_brain(pairs):
    for case in pairs:
        for key in ("image", "prior"):
            assert case[key].dtype == np.float32 and case[key].min() == 0
            assert 0.9 < case[key].max() <= 1 + 1e-6  # the resizing filter's weights add up to 1 ± 1e-7
            assert not case[key][~case["brain"]].any()
        assert case["pathology"].any() and not case["pathology"][~case["brain"]].any()
        assert np.array_equal(case["brain"], case["prior_brain"])
        assert case["parameters"]["area_px"] == case["pathology"].sum()
        assert cohort.SLICES[0] <= case["parameters"]["slice"] < cohort.SLICES[1]


def test_lesion_and_ventricle_do_not_overlap(pairs):
    """On the 1 mm grid they are disjoint; a model pixel that both half cover may be set in both."""
    for case in pairs:
        both = case["pathology"] & (case["ventricles"] > 0)
        assert not ndimage.binary_erosion(both, np.ones((2, 2))).any()


def test_ventricle_on_the_lesions_side_grows(pairs):
    grown = 0
    for case in pairs:
        before, after = case["prior_ventricles"], case["ventricles"]
        if case["parameters"]["largest_pull_mm"] == 0:
            assert np.array_equal(before, after)
        if case["parameters"]["largest_pull_mm"] < 1.5:
            continue
        middle = center(before > 0)[0]
        side = 1 if center(case["pathology"])[0] < middle else 2
        assert of_side(after, side) > of_side(before, side), case["parameters"]
        assert of_side(after, side) - of_side(before, side) > of_side(after, 3 - side) - of_side(before, 3 - side)
        grown += 1
    assert grown >= 3


def test_left_is_left_in_mirrored_cases_too(pairs):
    for case in pairs:
        labels = case["prior_ventricles"]
        if of_side(labels, 1) and of_side(labels, 2):
            assert center(labels == 1)[0] < center(labels == 2)[0]


# --- random streams --------------------------------------------------------------------------------------------------


def test_a_case_has_a_stream_of_its_own():
    draws = {case_rng(*at).random() for at in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))}
    assert len(draws) == 4 and case_rng(0, "a", 0).random() in draws


def test_order_of_simulation_does_not_matter(pairs):
    again = simulate_stroke(icbm152(), case_rng(0, "test", 7))
    for key in FILES:
        assert np.array_equal(again[key], pairs[7][key]), key
    assert again["parameters"] == pairs[7]["parameters"]


def test_recipe_is_that_of_its_version():
    """If this fails, the same seed gives other cases than before: raise ``RECIPE_VERSION`` with the numbers here."""
    assert cohort.RECIPE_VERSION == 1
    drawn = simulate_stroke(icbm152(), case_rng(0, "x", 0))["parameters"]
    assert drawn["anatomy"] == "icbm152" and drawn["slice"] == 100 and drawn["area_px"] == pytest.approx(52, abs=1)
    assert drawn["ventricle_growth_mm"] == pytest.approx(0.6580459)
    assert drawn["gain"] == pytest.approx(0.1324886) and drawn["severity"] == pytest.approx(0.8834243)
    assert drawn["largest_pull_mm"] == pytest.approx(0.6000338, rel=1e-3)


# --- on disk ---------------------------------------------------------------------------------------------------------


def content(datalist: Path, case: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((datalist.parent / case).iterdir())}


def test_same_bytes_whatever_the_size(tmp_path):
    small = write_embedded_cohort(tmp_path, 1, 1, seed=3, progress=False)
    large = write_embedded_cohort(tmp_path, 2, 2, seed=3, progress=False)
    other = write_embedded_cohort(tmp_path, 1, 1, seed=4, progress=False)
    assert len({small, large, other}) == 3
    for case in ("training_00000", "validation_00000"):
        assert len(content(small, case)) == len(FILES) + 1
        assert content(small, case) == content(large, case)
        assert content(small, case)["image.nii"] != content(other, case)["image.nii"]
    assert content(large, "training_00000")["image.nii"] != content(large, "training_00001")["image.nii"]
    assert content(large, "training_00000")["image.nii"] != content(large, "validation_00000")["image.nii"]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_embedded_cohort(tmp_path_factory.mktemp("cohort"), 2, 1, seed=0, progress=False)


def test_datalist_of_the_cohort(written):
    listed = json.loads(written.read_text())
    assert listed["synthetic"] is True and listed["seed"] == 0 and listed["name"] == written.parent.name
    assert [case["case_id"] for case in listed["training"]] == ["training_00000", "training_00001"]
    assert [case["split"] for case in listed["validation"]] == ["validation"]
    assert listed["training"][0]["image"] == "training_00000/image.nii"
    for case in read_datalist(written):
        assert all(Path(case[key]).is_file() for key in FILES)


def test_files_hold_the_simulated_case(written):
    wanted = simulate_stroke(icbm152(), case_rng(0, "training", 1))
    folder = written.parent / "training_00001"
    for key in FILES:
        image = nib.load(folder / f"{key}.nii")
        assert np.array_equal(np.asarray(image.dataobj)[..., 0], wanted[key]), key
        assert b"synthetic" in image.header["descrip"].tobytes()
        assert image.header.get_zooms() == pytest.approx((233 / 128, 233 / 128, 1.0))
    parameters = json.loads((folder / "parameters.json").read_text())
    assert parameters == wanted["parameters"] | {"synthetic": True}


def test_a_written_cohort_is_read_back(written, monkeypatch):
    monkeypatch.setattr(cohort, "simulate_stroke", None)
    assert write_embedded_cohort(written.parents[1], 2, 1, seed=0, progress=False) == written


def test_an_interrupted_cohort_has_no_datalist(tmp_path, monkeypatch):
    original, left = cohort.simulate_stroke, [1]

    def interrupted(anatomy, rng):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return original(anatomy, rng)

    monkeypatch.setattr(cohort, "simulate_stroke", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_embedded_cohort(tmp_path, 1, 1, seed=0, progress=False)
    assert list(tmp_path.rglob("*.nii")) and not list(tmp_path.rglob("datalist.json*"))
    monkeypatch.setattr(cohort, "simulate_stroke", original)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half_written(Path.write_text, "datalist"))
        with pytest.raises(KeyboardInterrupt):
            write_embedded_cohort(tmp_path, 1, 1, seed=0, progress=False)
    assert not list(tmp_path.rglob("datalist.json"))
    datalist = write_embedded_cohort(tmp_path, 1, 1, seed=0, progress=False)
    assert len(read_datalist(datalist)) == 2


def half_written(original, name: str):
    """``Path.write_text`` that is cut off in the middle of the named file."""

    def write_text(path, text):
        original(path, text[: len(text) // 2] if name in path.name else text)
        if name in path.name:
            raise KeyboardInterrupt

    return write_text


def test_where_cohorts_are_cached(monkeypatch):
    monkeypatch.setenv("MEDEDIT_CACHE", "own")
    monkeypatch.setenv("XDG_CACHE_HOME", "users")
    assert default_cache() == Path("own")
    monkeypatch.delenv("MEDEDIT_CACHE")
    assert default_cache() == Path("users/mededit_monai")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "mededit_monai"

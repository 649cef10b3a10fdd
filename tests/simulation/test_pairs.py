# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated pairs of both diseases: what they share, what moves which way, what the masks hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from simulation.small_brains import label_array, save

from mededit_monai.diseases import DISEASES
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import carry
from mededit_monai.simulation.draws import Draws
from mededit_monai.simulation.frame import VOLUME_SHAPE
from mededit_monai.simulation.pair import simulate_pair
from mededit_monai.simulation.person import draw_person

CASES = 10


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory):
    return load_anatomy(str(save(label_array(), tmp_path_factory.mktemp("a") / "egg.nii.gz")))


@pytest.fixture(scope="module", params=["stroke", "tumor"])
def pairs(request, anatomy):
    """Cases of a disease with lesions of 4 to 22 mm radius at the height of the ventricles."""
    disease, made = DISEASES[request.param], []
    for k in range(CASES):
        size = 4 + 2 * k
        pair = simulate_pair(
            disease, anatomy, 38.0, lambda c, r, s=size: disease.draw_lesion(c, s, r), Draws(0, "pairs", k)
        )
        if pair is not None:
            made.append(pair)
    assert len(made) >= CASES - 1
    return disease, made


def test_identical_outside_lesion_and_displaced_tissue(pairs):
    for pair in pairs[1]:
        assert np.array_equal(pair["image"][~pair["reached"]], pair["prior"][~pair["reached"]])
        near = ndimage.binary_dilation(pair["pathology"], np.ones((3, 3)), iterations=3)
        allowed = near | (pair["displacement"] != 0).any(axis=0)
        assert not (pair["reached"] & ~allowed & (pair["image"] != pair["prior"])).any()
        assert (pair["image"] != pair["prior"])[pair["pathology"]].mean() > 0.9


def test_displacement_is_a_diffeomorphism_that_ends_at_the_brain(pairs):
    for pair in pairs[1]:
        assert pair["parameters"]["jacobian_min"] > 0
        assert not pair["displacement"][:, ~ndimage.binary_dilation(pair["brain"], iterations=2)].any()
        assert not pair["displacement"][2].any()


def test_ventricles_grow_with_stroke_and_shrink_with_tumour(pairs):
    disease, made = pairs
    change = np.array([(p["ventricles"] > 0).sum() - (p["prior_ventricles"] > 0).sum(dtype=int) for p in made], int)
    large = change[np.abs(change) > 3]
    assert len(large) >= 3
    assert ((large > 0) if disease.name == "stroke" else (large < 0)).mean() >= 0.95


def test_stroke_pulls_its_own_side_only(pairs):
    disease, made = pairs
    for pair in made:
        before, after = pair["prior_ventricles"], pair["ventricles"]
        side = 2 if pair["parameters"]["lesion_side"] == "right" else 1
        if disease.name == "stroke":
            own = int((after == side).sum()) - int((before == side).sum())
            other = int((after == 3 - side).sum()) - int((before == 3 - side).sum())
            assert own >= other - 2
        lesion = np.argwhere(pair["pathology"])[:, 0].mean()
        middle = np.argwhere(pair["brain"])[:, 0].mean()
        if abs(lesion - middle) > 5:
            assert (lesion > middle) == (side == 2)


def test_larger_lesions_move_more(pairs):
    moved = [p["parameters"]["largest_displacement_mm"] for p in pairs[1]]
    assert np.mean(moved[-4:]) > np.mean(moved[:4])


def test_masks_ranges_and_kinds(pairs):
    disease, made = pairs
    for pair in made:
        for key in ("image", "prior"):
            assert pair[key].dtype == np.float32 and pair[key].min() == 0 and 0.6 < pair[key].max() <= 1
            assert not pair[key][~pair["brain"]].any()
        assert pair["pathology"].any() and not (pair["pathology"] & ~pair["brain"]).any()
        assert pair["parameters"]["size_px"] == pair["pathology"].sum()
        assert set(np.unique(pair["ventricles"])) <= {0, 1, 2}
        if disease.name == "tumor":
            assert np.array_equal(pair["regions"] > 0, pair["pathology"]) and pair["regions"].max() <= 3
        else:
            assert "regions" not in pair


def test_tissue_is_the_rest_of_the_brain(pairs):
    for pair in pairs[1]:
        assert pair["tissue"].dtype == pair["prior_tissue"].dtype == np.uint8
        for key, taken in (
            ("prior_tissue", pair["prior_ventricles"] > 0),
            ("tissue", (pair["ventricles"] > 0) | pair["pathology"]),
        ):
            assert set(np.unique(pair[key])) == {0, 1, 2, 3}
            assert not pair[key][taken | ~pair["brain"]].any()
            left_over = pair["brain"] & ~taken & (pair[key] == 0)  # of vessels and the like the toy brains have none
            assert left_over.sum() < 0.03 * pair["brain"].sum()
        kept = ~pair["reached"] & ~pair["pathology"]
        assert np.array_equal(pair["tissue"][kept], pair["prior_tissue"][kept])
        levels = [np.median(pair["prior"][ndimage.binary_erosion(pair["prior_tissue"] == k)]) for k in (2, 3)]
        assert levels[0] < levels[1] and np.median(pair["prior"][pair["prior_tissue"] == 1]) < levels[0]


def test_tissue_follows_the_displacement(pairs):
    disease, made = pairs
    for pair in made:
        grid = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0), indexing="ij"))
        where = grid + pair["displacement"][:2] / disease.pixel_mm
        free = pair["brain"] & ~pair["pathology"] & (pair["ventricles"] == 0)
        for label in (2, 3):
            carried = ndimage.map_coordinates((pair["prior_tissue"] == label).astype(float), where, order=1) > 0.5
            found = pair["tissue"] == label
            assert 2 * (carried & found & free).sum() / ((carried & free).sum() + found.sum()) > 0.85


def test_contrast_of_the_regions(pairs):
    disease, made = pairs
    if disease.name == "stroke":
        drops = [(p["prior"] - p["image"])[p["pathology"]].mean() for p in made]
        assert np.median(drops) > 0.15
        return
    mean = {
        k: np.median([p["image"][p["regions"] == k].mean() for p in made if (p["regions"] == k).sum() > 8])
        for k in (1, 2, 3)
    }
    assert mean[3] > mean[2] > mean[1]


def test_displacement_maps_the_prior_to_the_image(pairs):
    """image(r) shows prior(r + u(r)): the ventricle labels follow it."""
    disease, made = pairs
    for pair in made:
        pixel = disease.pixel_mm
        grid = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0), indexing="ij"))
        where = grid + pair["displacement"][:2] / pixel
        for side in (1, 2):
            soft = (pair["prior_ventricles"] == side).astype(float)
            carried = ndimage.map_coordinates(soft, where, order=1) > 0.5
            found = pair["ventricles"] == side
            if found.sum() > 60:  # masks are binary: half a pixel at the rim is lost twice
                assert 2 * (carried & found).sum() / (carried.sum() + found.sum()) > 0.85


def test_the_image_is_the_prior_pulled_where_there_is_no_lesion(pairs):
    """What is left is noise, which does not move, and what resampling blurs."""
    disease, made = pairs
    grid, shares = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0), indexing="ij")), []
    for pair in made:
        field = pair["displacement"][:2] / disease.pixel_mm
        pulled = ndimage.map_coordinates(pair["prior"].astype(float), grid + field, order=1)
        moved = np.hypot(*field) > 0.7
        free = moved & pair["brain"] & ~ndimage.binary_dilation(pair["pathology"], iterations=4)
        if free.sum() > 150:
            left, before = (np.abs(one - pair["image"])[free].mean() for one in (pulled, pair["prior"]))
            wrong = np.abs(ndimage.map_coordinates(pair["prior"].astype(float), grid - field, order=1) - pair["image"])
            shares.append(left / before)
            assert left < wrong[free].mean()
    assert len(shares) >= 2 and np.median(shares) < 0.75, shares


def test_same_stream_same_bytes(anatomy):
    disease = DISEASES["stroke"]
    one, two = (
        simulate_pair(disease, anatomy, 30.0, lambda c, r: disease.draw_lesion(c, 8, r), Draws(1, "x", 0))
        for _ in range(2)
    )
    assert all(np.array_equal(one[k], two[k]) for k in one if k != "parameters")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["stroke", "tumor"])
def test_volumes_come_from_the_same_code(anatomy, name):
    disease = DISEASES[name]
    pair = simulate_pair(disease, anatomy, None, lambda c, r: disease.draw_lesion(c, 14, r), Draws(3, "v", 0))
    assert pair["image"].shape == VOLUME_SHAPE and pair["displacement"].shape == (3, *VOLUME_SHAPE)
    assert np.array_equal(pair["image"][~pair["reached"]], pair["prior"][~pair["reached"]])
    assert pair["parameters"]["jacobian_min"] > 0 and np.abs(pair["displacement"][2]).max() > 0
    change = int((pair["ventricles"] > 0).sum()) - int((pair["prior_ventricles"] > 0).sum())
    assert abs(change) <= 3 or (change > 0) == (name == "stroke")
    assert set(np.unique(pair["tissue"])) == {0, 1, 2, 3} and not pair["tissue"][pair["pathology"]].any()


def test_lesion_is_carried_to_its_mni_place(anatomy):
    canvas = draw_person(anatomy, 30.0, 1.0, 233, Draws(0, "c", 0).of("person"), wide=False)
    mask = np.ones((21, 25, 31), bool)
    origin = np.array([20, -30, 15])
    for mirror in (False, True):
        points = canvas.mni * np.array([-1 if mirror else 1, 1, 1]).reshape(3, 1, 1)
        middle = np.array([30, -18, 30]).reshape(3, 1, 1)
        wanted = (np.abs(points - middle) <= np.array([10.5, 12.5, 15.5]).reshape(3, 1, 1)).all(axis=0)
        found = carry(mask, origin, canvas, mirror)
        assert found.sum() > 100 and 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.93


def test_real_scan_keeps_its_own_appearance(tmp_path):
    from simulation.small_brains import t1_array

    labels = label_array()
    scan = load_anatomy(str(save(t1_array(labels), tmp_path / "scan.nii.gz")))
    disease = DISEASES["stroke"]
    pair = simulate_pair(disease, scan, 30.0, lambda c, r: disease.draw_lesion(c, 10, r), Draws(0, "s", 1))
    assert pair["parameters"]["appearance"]["own_share"] == 1.0
    inner = ndimage.binary_erosion(pair["prior_tissue"] == 3)
    assert pair["prior"][inner].mean() > pair["prior"][pair["prior_tissue"] == 2].mean() and inner.sum() > 500
    assert np.array_equal(pair["image"][~pair["reached"]], pair["prior"][~pair["reached"]])

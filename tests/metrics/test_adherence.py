# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import box_overlap, dice, intensity_drop, iou, lesion_detection, region_presence

PRIOR = np.array([[0.8, 0.6, 0.4], [0.2, 0.5, 0.9]])
EDIT = np.array([[0.2, 0.5, 0.0], [0.9, 0.5, 0.1]])


@pytest.mark.parametrize(
    "mask, drop",
    [
        ([[1, 0, 0], [0, 0, 0]], 0.6),
        ([[1, 1, 0], [0, 0, 0]], 0.35),  # (0.6 + 0.1) / 2
        ([[1, 0, 0], [1, 0, 0]], -0.05),  # (0.6 - 0.7) / 2: brighter
        ([[0, 0, 0], [0, 1, 0]], 0.0),
        ([[1, 1, 1], [1, 1, 1]], 0.2),  # 1.2 / 6
    ],
)
def test_mean_darkening(mask, drop):
    assert intensity_drop(PRIOR, EDIT, np.array(mask)) == pytest.approx(drop)
    assert intensity_drop(EDIT, PRIOR, np.array(mask, bool)) == pytest.approx(-drop)
    assert intensity_drop(100 * PRIOR, 100 * EDIT, 255 * np.array(mask, np.uint8)) == pytest.approx(100 * drop)


def test_in_three_dimensions():
    mask = np.zeros((2, 2, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    volume = np.stack([PRIOR, PRIOR]), np.stack([EDIT, EDIT - 0.1])
    assert intensity_drop(*volume, mask) == pytest.approx((0.6 + 0.1) / 2)


def test_unsigned_integers_do_not_wrap_around():
    assert intensity_drop(np.array([10], np.uint8), np.array([30], np.uint8), np.array([1])) == -20


def test_refuses_an_empty_mask():
    with pytest.raises(ValueError, match="mask is empty"):
        intensity_drop(PRIOR, EDIT, np.zeros((2, 3)))


def _masks(*rows: str) -> np.ndarray:
    """'#' is the mask."""
    return np.array([[c == "#" for c in row] for row in rows])


def _in(dims: int, mask: np.ndarray) -> np.ndarray:
    """The mask itself, or in the middle slice of a volume."""
    return mask if dims == 2 else np.stack([np.zeros_like(mask), mask, np.zeros_like(mask)], axis=-1)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "found, wanted, dice_value, iou_value",
    [
        (["##..", "...."], [".##.", "...."], 0.5, 1 / 3),  # 2·1 / (2 + 2), 1 / 3
        (["####", "...."], ["##..", "...."], 2 / 3, 0.5),
        (["##..", "...."], ["##..", "...."], 1, 1),
        (["#...", "...."], ["...#", "...."], 0, 0),
        (["....", "...."], ["...#", "...."], 0, 0),
        (["...#", "...."], ["....", "...."], 0, 0),
        (["....", "...."], ["....", "...."], 1, 1),
    ],
)
def test_overlap(dims, found, wanted, dice_value, iou_value):
    pair = _in(dims, _masks(*found)), _in(dims, _masks(*wanted))
    assert dice(*pair) == pytest.approx(dice_value)
    assert iou(*pair) == pytest.approx(iou_value)
    assert dice(255 * pair[0].astype(np.uint8), pair[1].astype(np.float32)) == pytest.approx(dice_value)


WANTED = _masks("##....#", "##....#", ".......", "...#...")
FOUND = _masks("#......", ".......", ".....##", "...#.##")  # meets two of three, and one speck of its own


@pytest.mark.parametrize("dims", [2, 3])
def test_lesions_one_by_one(dims):
    result = lesion_detection(_in(dims, FOUND), _in(dims, WANTED))
    assert (result.wanted, result.found, result.hit, result.false) == (3, 3, 2, 1)
    assert (result.recall, result.precision) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert result.f1 == pytest.approx(2 / 3)


def test_lesions_by_share_and_size():
    half = lesion_detection(FOUND, WANTED, min_overlap=0.5)  # 1 of 4 pixels of the first lesion is not enough
    assert (half.hit, half.recall, half.precision) == (1, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert half.f1 == pytest.approx(2 * (2 / 9) / 1)
    large = lesion_detection(FOUND, WANTED, min_size=2)  # only the speck of four is left, and it meets nothing
    assert (large.found, large.hit, large.false, large.f1) == (1, 0, 1, 0)


def test_diagonal_neighbours_are_one_lesion():
    mask = _masks("#..", ".#.", "..#")
    assert lesion_detection(mask, mask).wanted == 1


def test_nothing_wanted_or_found():
    empty = np.zeros_like(WANTED)
    missed, invented = lesion_detection(empty, WANTED), lesion_detection(WANTED, empty)
    assert (missed.recall, missed.f1, np.isnan(missed.precision)) == (0, 0, True)
    assert (invented.precision, invented.f1, np.isnan(invented.recall)) == (0, 0, True)
    neither = lesion_detection(empty, empty)
    assert np.isnan([neither.recall, neither.precision, neither.f1]).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_boxes_are_fitted_to_every_component(dims):
    found = _masks("#......", "##.....", "......#")  # boxes of 4 and 1
    boxes = _masks("##.....", "##.....", ".....##")  # 4 and 2
    assert box_overlap(_in(dims, found), _in(dims, boxes)) == (pytest.approx(10 / 11), pytest.approx(5 / 6))


def test_a_mask_as_condition_becomes_boxes():
    ring = _masks("###", "#.#", "###")
    assert box_overlap(np.ones_like(ring), ring) == (1, 1)


REGIONS = np.array([[2, 2, 2, 0], [2, 1, 3, 0], [2, 3, 3, 0]])


@pytest.mark.parametrize("dims", [2, 3])
def test_regions(dims):
    found = REGIONS.copy()
    found[1, 1] = 3  # the core vanished into the rim
    result = region_presence(_in(dims, found), _in(dims, REGIONS))
    assert [result[n].wanted_size for n in ("core", "edema", "rim")] == [1, 5, 3]
    assert (result["core"].wanted, result["core"].present, result["core"].dice) == (True, False, 0)
    assert (result["edema"].present, result["edema"].dice) == (True, 1)
    assert result["rim"].dice == pytest.approx(6 / 7)  # 2·3 / (4 + 3)
    without = region_presence(REGIONS, np.where(REGIONS == 1, 3, REGIONS))
    assert (without["core"].wanted, without["core"].present, np.isnan(without["core"].dice)) == (False, True, True)
    assert not region_presence(REGIONS, REGIONS, min_size=4)["rim"].present


def test_a_region_is_present_within_the_tumour_only():
    """Not by what the judge sees elsewhere, nor by a speck of it; wherever in the tumour it is."""
    wanted = np.zeros((8, 10), int)
    wanted[:5] = 2
    wanted[:2] = 1  # a core of 20
    specks, elsewhere = np.zeros_like(wanted), np.zeros_like(wanted)
    specks[4, :1], elsewhere[6:, :8] = 1, 1
    assert not region_presence(elsewhere, wanted)["core"].present
    assert region_presence(elsewhere, wanted)["core"].found_size == 16
    assert (
        not region_presence(specks, wanted)["core"].present and region_presence(specks, wanted, share=0)["core"].present
    )
    specks[4, :2] = 1
    assert region_presence(specks, wanted)["core"].present


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: dice(np.zeros((2, 2)), np.zeros((2, 3))), r"\(2, 2\), wanted \(2, 3\)"),
        (lambda: lesion_detection(WANTED, WANTED, min_overlap=2), "share between 0 and 1"),
        (lambda: region_presence(REGIONS, np.full((3, 4), 4)), r"labels \[4\]; wanted 0, 1 \(core\)"),
        (lambda: dice(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2))), "without batch and channel"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

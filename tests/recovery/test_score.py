# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of segmentations whose figures can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from recovery.toy import SHAPE, labels

from mededit_monai.diseases import DISEASES
from mededit_monai.recovery.score import score_case, score_unedited, summary

LESION, STROKE = labels() == 1, DISEASES["stroke"]


def scored(found: np.ndarray, **more) -> dict:
    return score_case(found, LESION, (2.0, 2.0, 2.0), STROKE, **more)


def test_the_truth():
    line = scored(labels(), before=labels())
    assert line["inserted_ml"] == line["found_ml"] == pytest.approx(64 * 0.008)
    assert (line["volume_bias_ml"], line["volume_bias_percent"], line["false_lesions"]) == (0, 0, 0)
    assert line["dice"] == 1 and line["ventricle_bias_ml"] == pytest.approx(0, abs=1e-6)
    assert line["lesions"] == [{"ml": pytest.approx(0.512), "size": STROKE.stratum_of_volume(0.512), "found": True}]


def test_one_voxel_too_many_on_every_side():
    line = scored(labels(grown=1))
    assert line["found_ml"] == pytest.approx(216 * 0.008) and line["volume_bias_percent"] == pytest.approx(237.5)
    assert line["dice"] == pytest.approx(2 * 64 / (64 + 216)) and line["lesions"][0]["found"]
    assert line["ventricle_bias_ml"] is None


def test_nothing_found():
    line = scored(np.zeros(SHAPE, np.uint8), before=labels())
    assert (line["volume_bias_percent"], line["dice"], line["false_lesions"]) == (-100, 0, 0)
    assert not line["lesions"][0]["found"] and line["ventricle_bias_ml"] == pytest.approx(-48 * 0.008)


def test_two_lesions_and_a_false_one():
    wanted, found = LESION.copy(), np.zeros(SHAPE, np.uint8)
    wanted[14, 12, 10] = found[14, 12, 10] = True
    found[1, 1, 1] = 1
    line = score_case(found, wanted, (2.0, 2.0, 2.0), STROKE)
    assert [one["found"] for one in line["lesions"]] == [False, True] and line["false_lesions"] == 1


def test_ventricles_are_compared_with_where_the_edit_moved_them():
    """All tissue moves a voxel along the first axis: out(r) = in(r + u), u = -2 mm."""
    moved = np.zeros((3, *SHAPE), np.float32)
    moved[0] = -2
    found = np.roll(labels(), 1, axis=0)
    assert scored(found, before=labels(), displacement=moved)["ventricle_bias_ml"] == pytest.approx(0, abs=1e-6)
    half = moved * 0.5  # half of a layer of 4 x 4 voxels on either side is ventricle still
    assert scored(labels(), before=labels(), displacement=half)["ventricle_bias_ml"] == pytest.approx(0, abs=1e-6)


def test_false_alarms_in_a_scan_without_lesion():
    assert score_unedited(labels(), (2.0, 2.0, 2.0)) == {"false_lesions": 1, "false_ml": pytest.approx(0.512)}


def test_means_and_recall_over_patients():
    good, bad = scored(labels()) | {"patient": "p"}, scored(np.zeros(SHAPE, np.uint8)) | {"patient": "q"}
    found = summary([good, good, bad], [{"patient": "p", "false_lesions": 2, "false_ml": 0.1}])
    size = STROKE.stratum_of_volume(0.512)
    assert set(found["recall"]) == {"all", size} and found["recall"]["all"]["value"] == pytest.approx(2 / 3)
    assert (found["recall"][size]["n_cases"], found["recall"][size]["n_groups"]) == (3, 2)
    assert found["figures"]["dice"]["value"] == pytest.approx(2 / 3) and "ventricle_bias_ml" not in found["figures"]
    assert found["unedited"]["false_lesions"]["value"] == 2

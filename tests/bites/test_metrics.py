# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics where the wrong mask, unit or image gives another number."""

from __future__ import annotations

import numpy as np
import pytest

from mededit_monai.metrics import MidlineMetric, MidlineTruthMetric
from mededit_monai.metrics.adherence import lesion_detection
from mededit_monai.metrics.indirect import midline_shift_from_ventricles, sulcal_fluid_change
from mededit_monai.metrics.preservation import edge_gradient


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_step_from_brain_to_air_is_no_seam(mirrored):
    """A region up to the brain's border: the step of 0.1 within the brain counts, that of 0.9 out of it does not."""
    image, region, brain = (np.array([row]) for row in ([0.8, 0.9, 0.0, 0.0], [0, 1, 0, 0], [1, 1, 0, 0]))
    parts = [part[:, ::-1] if mirrored else part for part in (image, region, brain)]
    assert edge_gradient(*parts) == pytest.approx(0.1)


def ventricles(left: slice, right: slice, rows: int = 4, width: int = 40) -> np.ndarray:
    labels = np.zeros((width, rows))
    labels[left], labels[right] = 1, 2
    return labels


@pytest.mark.parametrize("spacing, rows", [(0.5, 4), (1.0, 4), (2.0, 0)])
def test_the_gap_between_the_ventricles_is_measured_in_millimetres(spacing, rows):
    """Ten voxels apart: 5 or 10 mm face each other, 20 mm do not, with 12 mm as the limit."""
    before = ventricles(slice(5, 10), slice(20, 25))
    after = ventricles(slice(6, 11), slice(21, 26))
    found = midline_shift_from_ventricles(before, after, spacing)
    assert found.rows == rows
    assert rows == 0 or found.mean == pytest.approx(spacing)  # a voxel to the right


def test_what_counts_as_fluid_is_read_off_the_scan_before_the_edit():
    """
    Every fourth row is fluid; a lesion darker than that, deep in the white matter, makes no sulcus of it brighter.

    The white matter is 24 x 24 of 40 x 40 pixels: four rows of fluid are whole, six have eight pixels on either side.
    """
    brain, lesion = np.ones((40, 40)), np.zeros((40, 40))
    lesion[16:24, 16:24] = 1
    prior = np.where(np.arange(40)[:, None] % 4 == 0, 0.1, 0.5) * np.ones((40, 40))
    prior[8:32, 8:32] = 0.8
    found = sulcal_fluid_change(prior, np.where(lesion > 0, 0.0, prior), lesion, brain, 1.0)
    assert found.before == pytest.approx(4 * 40 + 6 * 16, rel=1e-3) and found.change == 0


@pytest.mark.parametrize("share, hit", [(0.0, 1), (0.5, 1), (0.75, 1), (0.76, 0), (1.0, 0)])
def test_a_lesion_that_is_covered_by_the_share_that_is_asked_for_is_met(share, hit):
    """Three of four pixels."""
    wanted, found = np.array([[1, 1, 1, 1, 0]]), np.array([[0, 1, 1, 1, 0]])
    assert lesion_detection(found, wanted, min_overlap=share).hit == hit


def test_a_share_of_nothing_is_not_met_by_nothing():
    assert lesion_detection(np.array([[0, 0, 0, 1]]), np.array([[1, 0, 0, 0]]), min_overlap=0.0).hit == 0


@pytest.mark.parametrize("side, away", [("left", 1), ("right", -1)])
def test_a_shift_is_positive_away_from_the_lesion(side, away):
    """The septum moves by a voxel of 2 mm, to the right (rising index) and to the left; half as far in the truth."""
    brain, lesion = np.ones((40, 4)), np.zeros((40, 4))
    lesion[slice(2, 4) if side == "left" else slice(36, 38)] = 1
    before = ventricles(slice(12, 18), slice(21, 27))
    for step in (1, -1):
        after = ventricles(slice(12 + step, 18 + step), slice(21 + step, 27 + step))
        case = {"prior_ventricles": before, "pred_ventricles": after, "pathology": lesion, "brain": brain}
        shift, largest = MidlineMetric(2.0).measure(before, case)
        assert shift == largest == away * step * 2
        halfway = ventricles(slice(12, 18), slice(21 + step, 27 + step))
        case |= {"judged_prior_ventricles": before, "ventricles": halfway}
        predicted, true, error, idle = MidlineTruthMetric(2.0).measure(before, case)
        assert (predicted, true, error, idle) == (away * step * 2, away * step, 1, 1)

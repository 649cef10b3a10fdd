# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of volumes whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mededit_monai.judges.features import Extractor
from mededit_monai.metrics.synthesis import (
    FEWEST,
    diversity,
    mean_squared_error,
    mmd,
    ms_ssim,
    part_contrast,
    planes_fid,
    shared_information,
    vessel_continuity,
)


def noise(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).random((side,) * 3)


def test_error():
    assert mean_squared_error(np.zeros((4, 4, 4)), np.full((4, 4, 4), 0.5)) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="the volume"):
        mean_squared_error(np.zeros((4, 4, 4)), np.zeros((4, 4, 5)))


def test_contrast_of_a_part():
    """0.9 inside and 0.5 around; what lies outside the brain or in another part does not count."""
    labels = np.zeros((10, 10, 10), int)
    labels[1:9] = 4
    labels[3:5, :5, 0], labels[7, 0, 0] = 2, 1
    volume = np.full(labels.shape, 0.2)
    volume[1:9, :, 1:] = 0.5
    volume[1:9, :, 0] = np.where(labels[1:9, :, 0] == 4, 0.5, 0.9)
    assert (labels == 2).sum() == FEWEST
    assert part_contrast(volume, labels, 2) == pytest.approx(0.4)
    assert np.isnan(part_contrast(volume, labels, 1)) and np.isnan(part_contrast(volume, labels, 3))
    with pytest.raises(ValueError, match="the volume"):
        part_contrast(volume[1:], labels, 2)


def test_similarity_of_a_volume_and_itself_its_blur_and_another():
    one = noise(0, 32)
    assert ms_ssim(one, one) == pytest.approx(1, abs=1e-6)
    near = 0.9 * one + 0.1 * noise(1, 32)
    assert 0.9 < ms_ssim(one, near) < 1 and ms_ssim(one, near) > ms_ssim(one, noise(1, 32)) + 0.3
    with pytest.raises(ValueError, match="wanted sides above 7"):
        ms_ssim(noise(0, 6), noise(1, 6))


def test_a_set_of_copies_is_not_diverse():
    copies, others = [noise(0)] * 3, [noise(k) for k in range(3)]
    assert diversity(copies) == pytest.approx(1, abs=1e-6) and diversity(others) < 0.5
    assert diversity([noise(0), noise(0), noise(1)], most=3) == pytest.approx(
        (1 + 2 * ms_ssim(noise(0), noise(1))) / 3, abs=1e-6
    )
    with pytest.raises(ValueError, match="got 1 volumes"):
        diversity(copies[:1])


def test_discrepancy_of_the_means():
    """Constant volumes a and b: (a - b)² a voxel, whatever the grid."""
    for side in (4, 6):
        low, high = ([np.full((side,) * 3, level)] * 3 for level in (0.2, 0.5))
        assert mmd(low, high) == pytest.approx(0.09, rel=1e-4) and mmd(low, low) == pytest.approx(0, abs=1e-9)
    assert mmd(low, high[:2]) == pytest.approx(0.09, rel=1e-4)
    with pytest.raises(ValueError, match="got 3 and 1"):
        mmd(low, high[:1])


def test_volumes_of_a_heads_mask_are_no_pair_of_that_head():
    """Copies of the heads: nothing, where each is left out beside its own head, and better than nothing otherwise."""
    heads, names = [noise(k) for k in range(6)], ["a", "a", "b", "b", "c", "c"]
    assert mmd(heads, heads) < -1e-3
    for people in (range(6), names):
        assert mmd(heads, heads, (people, people)) == pytest.approx(0, abs=1e-9)


def test_distance_of_planes():
    """Features that are a plane's mean and spread: a shift by 0.25 is a distance of 0.0625 in every plane."""
    extractor = Extractor("mean", lambda x: torch.stack([x.flatten(1).mean(1), x.flatten(1).std(1)], dim=1))
    real = [0.3 + 0.3 * noise(k, 32) for k in range(6)]
    same, moved = planes_fid(extractor, real, real), planes_fid(extractor, [one + 0.25 for one in real], real)
    assert same["mean"] == pytest.approx(0, abs=1e-8)
    assert [moved[name] for name in ("sagittal", "coronal", "axial")] == pytest.approx([0.0625] * 3, rel=1e-3)
    flat = [one[:, :, :17] for one in real]
    assert planes_fid(extractor, flat, flat)["mean"] == pytest.approx(0, abs=1e-8)  # padded to squares


def test_information_that_modalities_share():
    brain = np.ones((24,) * 3, bool)
    one, other = noise(0), noise(1)
    assert shared_information(one, one, brain) == pytest.approx(1)
    assert shared_information(one, 1 - one, brain) == pytest.approx(1, abs=0.02)  # an inverted contrast tells as much
    assert shared_information(one, other, brain) < 0.05
    two = np.where(one > 0.5, 0.9, 0.1)  # one bit of five
    assert shared_information(one, two, brain) == pytest.approx(2 * np.log(2) / (np.log(32) + np.log(2)), rel=0.01)
    half = brain.copy()
    half[12:] = False
    mixed = np.where(half, one, other)
    assert shared_information(one, mixed, half) == pytest.approx(1)


def test_vessels_in_one_piece_and_in_many():
    labels = np.full((40, 40, 40), 4)
    labels[18:22, 18:22, 18:22] = 1
    plain, enhanced = np.full(labels.shape, 0.4), np.full(labels.shape, 0.8)  # scans are scaled apart
    plain[10:30, 30, 30] = enhanced[10:30, 30, 30] = 0.95  # bright on both is no vessel
    plain[4:36, 5, 5], enhanced[4:36, 5, 5] = 0.1, 0.9
    whole = vessel_continuity(enhanced, plain, labels)
    assert whole["share"] == pytest.approx(32 / (labels == 4).sum())
    assert whole["longest"] == pytest.approx(np.sqrt(32**2 + 2) / np.sqrt(3 * 40**2))
    enhanced[12:14, 5, 5] = enhanced[20:22, 5, 5] = 0.2
    broken = vessel_continuity(enhanced, plain, labels)
    assert broken["longest"] == pytest.approx(np.sqrt(14**2 + 2) / np.sqrt(3 * 40**2)) and broken["share"] > 0
    plain[:], enhanced[:] = 0.4, 0.6
    enhanced[17:23, 17:23, 17:23] = 1  # the tumour's own brightness, and what is beside it
    assert vessel_continuity(enhanced, plain, labels) == {"share": 0, "longest": 0}

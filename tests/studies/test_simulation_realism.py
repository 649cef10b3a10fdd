# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The test of realism: it sees what differs, does not see what does not, and measures what it says."""

from __future__ import annotations

import numpy as np
import pytest
from simulation.small_brains import label_array, label_maps, save, t1_array

from studies import simulation_realism
from studies.simulation_realism import features, measure, real_slices

INSIDE = np.hypot(*np.meshgrid(np.arange(128) - 64, np.arange(128) - 64)) < 50


def slices(mean: float, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed).standard_normal((24, 128, 128))
    return np.clip(mean + spread * noise, 0, 1) * INSIDE, np.stack([INSIDE] * 24)


def verdict(monkeypatch, real_mean: float, simulated_mean: float) -> dict:
    """AUC for flat discs with noise, whose mean differs between the kinds."""
    seeds = iter(range(100))
    monkeypatch.setattr(simulation_realism, "real_slices", lambda path, n: slices(real_mean, 0.05, next(seeds)))
    monkeypatch.setattr(
        simulation_realism, "simulated_slices", lambda name, n, seed: slices(simulated_mean, 0.05, next(seeds))
    )
    from pathlib import Path

    return measure([Path("a.nii"), Path("b.nii")], ["c.nii", "d.nii"], 24, 24)


@pytest.mark.slow
def test_what_differs_is_seen(monkeypatch):
    found = verdict(monkeypatch, 0.5, 0.6)
    assert all(auc["pooled"] > 0.99 for auc in found["auc"].values())
    assert found["giveaways"]["quantile_50"] == pytest.approx(-1)  # real ones are darker


@pytest.mark.slow
def test_what_does_not_differ_is_not_seen(monkeypatch):
    found = verdict(monkeypatch, 0.5, 0.5)
    assert all(0.25 < auc["pooled"] < 0.75 for auc in found["auc"].values())
    assert found["slices"] == [48, 48] and found["real_scans"] == ["a", "b"]


@pytest.mark.parametrize("given", [None, "one"])
def test_one_anatomy_cannot_be_left_out(given, tmp_path, monkeypatch, capsys):
    """Said before any slice is drawn."""
    for name in ("real_slices", "simulated_slices"):
        monkeypatch.setattr(simulation_realism, name, lambda *given: pytest.fail("a slice was made"))
    words = ["--scans", str(label_maps(tmp_path / "scans", 2))]
    words += [] if given is None else ["--anatomies", str(label_maps(tmp_path / given, 1))]
    monkeypatch.setattr("sys.argv", ["program", *words])
    with pytest.raises(SystemExit) as ended:
        simulation_realism.main()
    assert ended.value.code == 2 and "1, wanted at least 2 to leave one out" in capsys.readouterr().err


def test_features_by_hand():
    flat = features(0.4 * INSIDE, INSIDE)
    assert flat["quantile_50"] == pytest.approx(0.4) and flat["histogram_04"] == pytest.approx(1)
    assert flat["noise"] == pytest.approx(0, abs=1e-9) and flat["gradient_95"] == pytest.approx(0, abs=1e-9)
    assert flat["rim_mean"] == pytest.approx(0.4) and flat["rim_spread"] == pytest.approx(0, abs=1e-6)
    ramp = np.tile(np.arange(128) / 128, (128, 1)) * INSIDE
    assert features(ramp, INSIDE)["gradient_50"] == pytest.approx(1 / 128)


def test_slices_of_a_real_scan(tmp_path):
    path = save(t1_array(label_array()), tmp_path / "scan.nii.gz", "LIA")
    images, masks = real_slices(path, 5)
    assert images.shape == masks.shape == (5, 128, 128) and not images[~masks].any()
    white = images[2][masks[2]]
    assert np.quantile(white, 0.9) == pytest.approx(1, abs=0.1) and images.min() >= 0  # white matter, 98th percentile


def test_simulated_slices_have_no_lesion_and_fill_the_count(tmp_path):
    folder = label_maps(tmp_path, 1)
    images, masks = simulation_realism.simulated_slices(str(folder / "brain_0.nii.gz"), 3)
    assert images.shape == masks.shape == (3, 128, 128) and images.max() <= 1 and not images[~masks].any()

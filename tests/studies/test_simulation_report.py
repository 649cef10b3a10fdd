# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of simulated pairs by hand, and the report from end to end at toy size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mededit_monai.diseases import DISEASES
from mededit_monai.io.displacement import write_displacement
from studies import simulation_report
from studies.simulation_measures import measure_case, quantiles, summarise, ventricle_areas
from studies.simulation_montage import save_montage


@pytest.fixture
def case(tmp_path) -> dict[str, str]:
    """A pair 128x128: lesion 20x20, ventricle 10x10 that grows by 2x10, tissue displaced in a strip beside it."""
    at = {key: np.zeros((128, 128, 1), np.float32) for key in ("image", "prior", "brain", "pathology")}
    at |= {key: np.zeros((128, 128, 1), np.uint8) for key in ("ventricles", "prior_ventricles")}
    moved = np.zeros((3, 128, 128, 1), np.float32)
    at["brain"][10:110, 10:110] = 1
    at["prior"][10:110, 10:110] = at["image"][10:110, 10:110] = 0.5
    at["pathology"][20:40, 20:40] = 1
    at["image"][20:40, 20:40] = 0.1
    at["prior_ventricles"][60:70, 60:70] = 2
    at["ventricles"][58:70, 60:70] = 2
    moved[0, 50:60, 50:80] = 1
    at["image"][58:60, 60:70] = 0.2
    for key, data in at.items():
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f"{key}.nii")
    write_displacement(tmp_path / "displacement.nii", moved, np.eye(4))
    facts = {"jacobian_min": 0.3, "stratum": "large", "midline_shift_mm": 1.5}
    (tmp_path / "parameters.json").write_text(json.dumps(facts))
    return {key: str(tmp_path / f"{key}.nii") for key in (*at, "displacement")}


def test_a_case_by_hand(case):
    row, picture = measure_case(case, DISEASES["stroke"])
    assert row["identical"] is True and row["area_px"] == 400 and row["ventricle_change_px"] == 20
    assert row["identical_share"] == pytest.approx(1 - (400 + 20) / 10_000)
    assert row["prior_ventricles_mm2"] == pytest.approx(100 * (233 / 128) ** 2)
    assert (row["jacobian_min"], row["stratum"], row["midline_shift_mm"]) == (0.3, "large", 1.5)
    assert picture["pathology"].sum() == 400


def test_one_pixel_too_far_is_seen(case):
    image = nib.load(case["image"])
    data = np.asarray(image.dataobj).copy()
    data[100, 100] += 1e-6
    nib.save(nib.Nifti1Image(data, np.eye(4)), case["image"])
    assert measure_case(case, DISEASES["stroke"])[0]["identical"] is False


def rows(*changes: int | None) -> list[dict]:
    row = {"identical": True, "identical_share": 0.9, "jacobian_min": 0.5, "area_px": 10, "stratum": "small"}
    row |= {"prior_ventricles_mm2": 300.0, "midline_shift_mm": 0.0}
    return [{**row, "ventricle_change_px": change} for change in changes]


def test_signs_that_count():
    """Changes of up to three pixels do not; an infarct widens the ventricle, a tumour closes it."""
    given = rows(10, 4, 3, -3, -5, 0, None)
    stroke, tumor = (summarise(given, DISEASES[d]) for d in ("stroke", "tumor"))
    assert stroke["ventricle_changed"] == tumor["ventricle_changed"] == 3
    assert stroke["ventricle_sign_right"] == pytest.approx(2 / 3)
    assert tumor["ventricle_sign_right"] == pytest.approx(1 / 3)
    assert stroke["strata"] == {"small": 7, "medium": 0, "large": 0} and stroke["identical"] == 7


def test_quantiles_by_hand():
    assert quantiles([0, 1, 2, 3, 4], (25, 50, 100)) == [1, 2, 4] and quantiles([], (50,)) == []


def test_the_template_has_no_distribution_of_its_own():
    assert ventricle_areas(None) is None


def test_montage_shows_pairs_side_by_side(tmp_path):
    dark, bright = np.zeros((128, 128)), np.ones((128, 128))
    save_montage([{"prior": dark, "image": bright}] * 3, tmp_path / "m.png", "toy", across=4)
    pixels = np.asarray(Image.open(tmp_path / "m.png").convert("L"))
    assert pixels.shape == (2 * 128 + 18, 4 * 128)
    means = [pixels[128 * (k // 4) : 128 * (k // 4 + 1), 128 * (k % 4) : 128 * (k % 4 + 1)].mean() for k in range(6)]
    assert means == pytest.approx([0, 255, 0, 255, 0, 255], abs=3)


@pytest.mark.slow
def test_report_from_end_to_end(tmp_path, monkeypatch, capsys):
    docs = tmp_path / "docs"
    monkeypatch.setattr(sys, "argv", ["x", "--cases", "6", "--workers", "1", "--docs", str(docs)])
    monkeypatch.setattr(simulation_report, "speed", lambda recipe: 12.3)
    assert simulation_report.main() == 0
    found = json.loads((docs / "results" / "simulation.json").read_text())
    assert found["synthetic"] is True
    for disease in ("stroke", "tumor"):
        assert found[disease]["identical"] == found[disease]["jacobian_positive"] == found[disease]["cases"] == 6
        assert Image.open(docs / "images" / f"simulation_{disease}.png").size[0] == 20 * 128
    printed = capsys.readouterr().out
    assert "| pairs identical outside lesion and displaced tissue | 6 of 6 | 6 of 6 |" in printed
    assert "not a medical device" in Path(docs / "results" / "simulation.md").read_text()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from conftest import write_head
from PIL import Image

from studies.scan_comparison import compare_on_scans, kept


def test_what_was_kept():
    rng = np.random.default_rng(0)
    prior = np.zeros((64, 64))
    prior[4:60, 4:60] = 0.5 + 0.1 * rng.random((56, 56))
    lesion, region = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    lesion[28:36, 28:36], region[20:44, 20:44] = True, True
    masks = {"pathology": lesion, "region": region, "spacing": (1.0, 1.0)}
    same = kept(prior, prior, **masks)
    assert np.isinf(same["psnr_outside_lesion"]) and same["changed_share"] == 0
    assert same["seam"] == pytest.approx(1) and same["texture"] == pytest.approx(1)
    inside = np.where(lesion, 0.1, prior)
    assert np.isinf(kept(prior, inside, **masks)["psnr_outside_lesion"])  # the lesion itself is no damage
    assert kept(prior, inside, **masks)["changed_share"] == pytest.approx(64 / 56**2)
    flat = kept(prior, np.where(region, 0.9, prior), **masks)
    assert flat["seam"] > 5 and kept(prior, np.where(region, 0.55, prior), **masks)["texture"] < 0.2
    assert flat["psnr_outside_lesion"] == pytest.approx(
        -10 * np.log10(np.mean((np.where(region, 0.9, prior) - prior)[(prior > 0) & ~lesion] ** 2)), abs=1e-3
    )


@pytest.mark.slow
def test_methods_beside_one_another(tmp_path):
    head = write_head(tmp_path / "head", "LPS")
    (tmp_path / "scans").mkdir()
    shutil.copy(head.scan, tmp_path / "scans" / "a.nii.gz")
    shutil.copy(head.brain, tmp_path / "scans" / "a_brain.nii.gz")
    found = compare_on_scans(tmp_path / "scans", tmp_path / "out", "stroke", ["naive_repaint", "morph"], steps=2)
    pixels = np.asarray(Image.open(tmp_path / "out" / "sheet.png").convert("RGB")).astype(int)
    coloured = np.abs(pixels[..., 0] - pixels[..., 2]) > 40
    columns = [block.sum() for block in np.array_split(coloured, 3, axis=1)]
    assert 0 < columns[0] < 0.2 * columns[2] and columns[1] > 0  # an outline, and two panels of differences
    narrow, wide = found["naive_repaint"][0], found["morph"][0]
    assert narrow["scan"] == "a" and (narrow["nfe"], wide["nfe"]) == (3, 3)
    assert 0 < narrow["changed_share"] < wide["changed_share"] and narrow["psnr_outside_lesion"] > 30
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["synthetic"] is True
    assert "| morph |" in (tmp_path / "out" / "comparison.md").read_text()
    with Image.open(tmp_path / "out" / "gallery.png") as gallery, Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert gallery.width == sheet.width and 2 * gallery.height == pytest.approx(sheet.height, abs=2)

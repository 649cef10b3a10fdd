# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Thirds of the masks by the tumour's size, and what was found in each."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from studies.found_by_size import FACTS, PAGE, by_size, found_by_size, tumour_ml


def test_thirds_by_hand():
    """Nine masks of 1 to 9 ml; in real heads the Dice is a tenth of the volume, in synthetic ones half of that."""
    volumes = {f"head_{k}": float(k) for k in range(9, 0, -1)}
    dice = {name: ml / 10 for name, ml in volumes.items()}
    dice |= {f"synthetic/quick_{name}": ml / 20 for name, ml in volumes.items()} | {"of another list": 1.0}
    rows = {(row["kind"], row["part"]): row for row in by_size(dice, volumes)}
    assert list(dict.fromkeys(kind for kind, _ in rows)) == ["real", "synthetic/quick"] and len(rows) == 8
    for kind, factor in (("real", 0.1), ("synthetic/quick", 0.05)):
        for part, mean, low, high in (("all", 5, 1, 9), ("smallest third", 2, 1, 3), ("largest third", 8, 7, 9)):
            row = rows[kind, part]
            assert row["value"] == pytest.approx(mean * factor) and (row["smallest"], row["largest"]) == (low, high)
            assert row["low"] <= row["value"] <= row["high"]
        assert rows[kind, "all"]["n"] == 9 and rows[kind, "middle third"]["n"] == 3


def test_page(tmp_path):
    cohort, runs = tmp_path / "heads", tmp_path / "down" / "runs"
    runs.mkdir(parents=True)
    cases = []
    for k in range(3):
        labels = np.full((10, 10, 10), 4, np.uint8)
        labels[: k + 1, 0, 0] = 1 + k
        (cohort / f"t{k}").mkdir(parents=True)
        nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 5, 1])), cohort / f"t{k}" / "label.nii.gz")
        cases.append({"case_id": f"t{k}", "patient": f"p{k}", "label": f"t{k}/label.nii.gz", "split": "testing"})
    (cohort / "datalist.json").write_text(json.dumps({"testing": cases}))
    assert tumour_ml(str(cohort / "t2" / "label.nii.gz")) == pytest.approx(3 * 20 / 1000)
    for seed, dice in enumerate((0.4, 0.6)):
        found = [{"case_id": f"t{k}", "dice": dice} for k in range(3)] + [{"case_id": "t9", "dice": None}]
        made = [{"case_id": f"synthetic/t{k}", "dice": dice / 2} for k in range(3)]
        (runs / f"real_fold0_seed{seed}.json").write_text(json.dumps({"cases": found, "synthetic": made}))
    (runs / "synthetic_fold0_seed0.json").write_text("no run of the row 'real'")
    found_by_size(cohort, tmp_path / "down", tmp_path / "out", "testing")
    rows = json.loads((tmp_path / "out" / FACTS).read_text())["rows"]
    assert [row["value"] for row in rows if row["part"] == "all"] == pytest.approx([0.5, 0.25])
    page = (tmp_path / "out" / PAGE).read_text()
    assert "| real | all | 0.02 to 0.06 | 3 | 0.500 (0.500 … 0.500) |" in page and str(tmp_path) not in page
    with pytest.raises(InputError, match="holds no runs of the row 'real'"):
        found_by_size(cohort, cohort, tmp_path / "other", "testing")

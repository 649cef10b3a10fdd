# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded judge beside nnU-Net: differences by hand, both measured alike, and nnU-Nets of other cohorts."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from judges.toy_cohort import write_cohort

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import read_array
from mededit_monai.judges.embedded import Judge, judge_network
from mededit_monai.judges.nnunet import IDENTITY_FILE, NNUNetJudge
from mededit_monai.judges.samples import cohort_samples
from studies import judge_beside_nnunet as module
from studies.judge_beside_nnunet import EMBEDDED, NNUNET, beside, compared, markdown


def cases(dice: list[float]) -> dict:
    strata, anatomies = ["small", "large", "small", "small"], ["a", "a", "b", "b"]
    shown = ["lesion", "lesion", "lesion", "lesion_free"]
    return {"anatomy": anatomies, "stratum": strata, "shown": shown, "dice": {"lesion": dice}}


def test_differences_by_hand():
    nan = float("nan")
    lines = compared("stroke", {EMBEDDED: cases([0.5, 0.9, 0.7, nan]), NNUNET: cases([0.25, 0.95, 0.75, nan])})
    found = {line["stratum"]: line for line in lines}
    assert set(found) == {"all", "small", "large"}
    assert found["all"][EMBEDDED]["value"] == pytest.approx(0.7) and found["all"][NNUNET]["value"] == pytest.approx(
        0.65
    )
    assert found["all"]["difference"]["difference"] == pytest.approx(0.05)
    assert found["small"]["difference"]["difference"] == pytest.approx(0.1) and found["small"][EMBEDDED]["n_cases"] == 2


@pytest.fixture
def folders(tmp_path):
    cohort = write_cohort(tmp_path / "cohort")
    digest = hashlib.sha256((cohort / "datalist.json").read_bytes()).hexdigest()
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / IDENTITY_FILE).write_text(json.dumps({"disease": "stroke", "datalist": digest}))
    return cohort, tmp_path / "nn"


def test_both_see_the_same_slices(folders, tmp_path, monkeypatch):
    """nnU-Net that finds the truth has Dice 1 in all strata and no false alarm; it is asked once, of all slices."""
    cohort, nnunet = folders
    samples, asked = cohort_samples(cohort, "testing", "stroke"), []
    truths = [s["pathology"] for s in samples]

    def segment(self, images, pixel_mm=None):
        asked.append(len(images))
        blank = np.zeros(images.shape[1:], bool)
        masks = [blank if path is None else read_array(path)[..., 0] > 0 for path in truths]
        return {"pathology": np.stack(masks)}

    monkeypatch.setattr(NNUNetJudge, "segment", segment)
    monkeypatch.setattr(module, "load_judge", lambda *_: Judge("stroke", judge_network("stroke"), "toy"))
    content = beside(cohort, tmp_path / "out", nnunet)
    assert asked == [len(samples)]
    assert all(line[NNUNET]["value"] == 1 for line in content["lines"])
    assert (
        content["false_alarms"][NNUNET]["share_with_any"] == 0 and content["lines"][0]["difference"]["difference"] < 0
    )
    page = (tmp_path / "out" / "beside.md").read_text()
    assert page == markdown(content) and "| lesion | all | 4 |" in page and "toy in" in page
    assert "ventricle" not in (tmp_path / "out" / "nnunet" / "held_out.md").read_text()
    assert "ventricle" in (tmp_path / "out" / "embedded" / "held_out.md").read_text()


def test_an_nnunet_of_another_cohort(folders, tmp_path):
    _, nnunet = folders
    other = write_cohort(tmp_path / "other", counts=(4, 2, 4))
    with pytest.raises(InputError, match="learned from another datalist or disease .* give the cohort"):
        beside(other, tmp_path / "out", nnunet)
    assert not (tmp_path / "out").exists()

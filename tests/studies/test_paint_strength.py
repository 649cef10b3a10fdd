# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Contrast of painted lesions grows with the strength of the paint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from mededit_monai.io.nifti import save_synthetic
from studies import paint_strength as study
from studies.paint_strength import are_crops, measure, read_cases

SCHEDULER = DDPMScheduler(schedule="linear_beta", beta_start=1e-4, beta_end=0.02, prediction_type="sample")


class Darker(torch.nn.Module):
    """Says that all of the lesion is darker by 0.1."""

    def __init__(self, spatial_dims: int = 2) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x[:, :1], -0.4)  # half of it, in units of 0.5 of a range that is 2 wide


def cases(count: int = 20) -> list[dict]:
    rng, found = np.random.default_rng(0), []
    for k in range(count):
        brain, lesion = np.zeros((2, 64, 64), dtype=np.float32)
        brain[4:60, 4:60], lesion[20:30, 20 + k : 30 + k] = 1, 1
        prior = brain * rng.choice([0.2, 0.6, 0.8], size=brain.shape).astype(np.float32)
        image = np.where(lesion > 0, prior - 0.2, prior).astype(np.float32)
        planes = {"prior": prior, "moved": prior, "image": image, "prior_brain": brain, "pathology": lesion}
        found.append({**planes, "id": f"case{k}", "anatomy": f"anatomy{k % 5}"})
    return found


@pytest.mark.parametrize("strength", [0.0, 1.0, 1.5])
def test_a_change_of_half_the_size_has_half_the_contrast(strength):
    contrast, squares, trees = measure(cases(), Darker(), SCHEDULER, "mask", strength)
    assert contrast == pytest.approx(0.5 * strength, abs=1e-3)
    assert 0 <= squares <= 1 and 0 <= trees <= 1


def test_one_anatomy_has_contrast_alone(tmp_path, monkeypatch):
    """What a cohort on the template is; painted to the end, with a dash where anatomies would be left out."""
    found = [case | {"anatomy": "icbm152"} for case in cases()]
    contrast, *tests = measure(found, Darker(), SCHEDULER, "mask", 1.0)
    assert contrast == pytest.approx(0.5, abs=1e-3) and np.isnan(tests).all() and len(tests) == 2
    monkeypatch.setattr(study, "read_cases", lambda *given: found)
    monkeypatch.setattr(study, "bundle_content", lambda *given, **options: (Darker(), SCHEDULER, 1.0))
    text = study.compare(cohort(tmp_path), str(tmp_path / "out"), None, "mask", [1.0], 20)
    assert "| 1 | 0.500 | – | – |" in text and text.startswith("# Strength of the paint: stroke, mask, 20")


def cohort(folder: Path, disease: str = "stroke") -> str:
    """A cohort of a disease, by its list alone."""
    content = {"recipe": {"disease": disease}, "validation": [{"case_id": "a"}]}
    (folder / "datalist.json").write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize(
    ("disease", "words", "said"),
    [
        ("tumor", ["--bundle", "stroke"], "--bundle: 'stroke' is about 'stroke', wanted one about 'tumor'"),
        ("stroke", ["--condition", "regions"], "--condition: got 'regions', but lesions of 'stroke' have none"),
        ("stroke", ["--cases", "0"], "--cases: got 0"),
    ],
)
def test_what_does_not_fit_the_cohort(disease, words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "bundle_content", lambda *given, **options: pytest.fail("a painter was opened"))
    with pytest.raises(SystemExit) as ended:
        study.main(["--cohort", cohort(tmp_path, disease), "-o", str(tmp_path / "out"), *words])
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_crops_of_volumes_come_displaced(tmp_path):
    """A lesion that is darker by 0.2 and painted by half of it, in two crops."""
    rng, entries = np.random.default_rng(0), []
    for k in range(2):
        brain, lesion = np.zeros((2, 16, 16, 16), dtype=np.float32)
        brain[1:15, 1:15, 1:15], lesion[5:10, 5 + k : 10 + k, 5:10] = 1, 1
        scan = brain * rng.choice([0.3, 0.6, 0.8], size=brain.shape).astype(np.float32)
        arrays = {"image": scan - 0.2 * lesion, "displaced": scan, "brain": brain, "pathology": lesion}
        for name, array in arrays.items():
            save_synthetic(array, np.eye(4), tmp_path / f"{k}_{name}.nii")
        entries.append({"case_id": f"c{k}", "anatomy": f"a{k}", **{name: f"{k}_{name}.nii" for name in arrays}})
    place = tmp_path / "datalist.json"
    place.write_text(json.dumps({"validation": entries}))
    assert are_crops(place)
    found = read_cases(place, 1.0, "mask", 5)
    assert len(found) == 2 and found[0]["moved"].shape == (16, 16, 16)
    contrast, *_ = measure(found * 10, Darker(3), SCHEDULER, "mask", 1.0)
    assert contrast == pytest.approx(0.5, abs=1e-3)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Trainings of the thesis's methods for a release: their order, what each starts from, and the samples counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mededit_monai.core.errors import InputError
from studies import baselines as module
from studies.baselines import CONFIGS, PLAN, baselines, overlays_of, seen_by

RELEASE = yaml.safe_load((CONFIGS / "release.yaml").read_text())


def planned(name: str) -> int:
    """Samples that the plan gives a file, by the overlay's epochs."""
    disease, file = name.split("_", 1)
    training = PLAN[disease][file]
    return training.epochs * RELEASE["epoch_cases"] + (planned(training.start) if training.start else 0)


def test_every_file_sees_300_000_samples_and_starts_from_one_that_comes_before_it():
    before: list[str] = []
    for disease, plan in PLAN.items():
        for file, training in plan.items():
            assert planned(f"{disease}_{file}") >= 300_000
            assert training.start is None or training.start in before
            assert all(place.is_file() for place in overlays_of(disease, training))
            before.append(f"{disease}_{file}")


@pytest.fixture
def quick(monkeypatch):
    """Nothing is trained: what was asked for, and the files that a training of that many epochs leaves."""
    asked = []

    def train(disease, overlays, output_dir, max_epochs, **options):
        asked.append((disease, Path(output_dir).name, [Path(overlay).name for overlay in overlays], options))
        history = [f"{epoch},{epoch * 625}" for epoch in range(1, max_epochs + 1)]
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        (output_dir / "history.csv").write_text("\n".join(["epoch,iteration", *history]) + "\n")
        (output_dir / "training.json").write_text(json.dumps({"settings": {"batch_size": 16}}))
        (output_dir / "model.pt").write_bytes(b"weights")
        return output_dir

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "cohort_facts", lambda cohort: {"disease": Path(cohort).name})
    return asked


def test_trainings_of_both_diseases(quick, tmp_path):
    rows = baselines("stroke", "stroke", tmp_path)
    assert [row[0] for row in rows] == ["`model.pt`", "`palette.pt`", "`palette_original.pt`", "`model_box.pt`"]
    assert [row[2:] for row in rows] == [("300,000", "300,000"), *[("60,000", "360,000")] * 3]
    assert quick[0] == ("stroke", "stroke_model", ["release.yaml"], {"dataset_dir": "stroke", "progress": False})
    assert quick[2][2] == ["release.yaml", "train_palette.yaml"] and quick[2][3]["family"] == "palette_original"
    assert quick[3][3]["init_weights"] == tmp_path / "stroke_model" / "model.pt"

    assert baselines("tumor", "tumor", tmp_path)[0] == ("`model.pt`", "stroke_model", "100,000", "400,000")
    assert seen_by(tmp_path, "tumor_palette") == 420_000 and seen_by(tmp_path, "tumor_model_regions") == 460_000


def test_a_start_that_is_not_done_is_refused(quick, tmp_path):
    with pytest.raises(InputError, match=r"stroke_model: has 0 of 30 epochs; train 'model' of stroke to its end"):
        baselines("stroke", "stroke", tmp_path, ["palette"])
    baselines("stroke", "stroke", tmp_path, ["model"])
    history = tmp_path / "stroke_model" / "history.csv"
    history.write_text("\n".join(history.read_text().splitlines()[:20]) + "\n")
    with pytest.raises(InputError, match="has 19 of 30 epochs"):
        baselines("tumor", "tumor", tmp_path, ["model"])


@pytest.mark.parametrize(
    "disease, files, said",
    [
        ("glioma", (), "glioma"),
        ("stroke", ("model_regions",), "model_regions"),
        ("tumor", ("model",), "holds cases of disease 'stroke', wanted 'tumor'"),
    ],
)
def test_what_cannot_be_trained_is_refused(quick, tmp_path, disease, files, said):
    with pytest.raises(InputError, match=said):
        baselines(disease, "stroke", tmp_path, files)
    assert not quick

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation by MONAI's own command: metrics beside the edits of a paired cohort, at toy size."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import evaluation_cases
from mededit_monai.evaluation.edits import read_edit
from mededit_monai.evaluation.judging import finds_tissue
from mededit_monai.judges.embedded import Judge, judge_files, judge_network
from mededit_monai.judges.structures import structures, without_tissue
from mededit_monai.networks import MaskConditionedUNet, save_weights, weights_sha256
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.workflows import _workflow

NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}


def test_a_judge_of_an_earlier_version_finds_no_tissue():
    network = judge_network("stroke", without_tissue("stroke"))
    assert not finds_tissue(Judge("stroke", network, "old", facts={"structures": list(without_tissue("stroke"))}))
    assert finds_tissue(Judge("stroke", network, "new", facts={"structures": list(structures("stroke"))}))


def toy_judge(disease: str, folder: Path) -> None:
    weights, facts = judge_files(disease, folder)
    folder.mkdir()
    save_weights(judge_network(disease), weights)
    content = {"structures": structures(disease), "weights_sha256": weights_sha256(weights), "ceiling": {}}
    facts.write_text(json.dumps(content))


def evaluated_by_command(disease: str, folder: Path, options: dict) -> None:
    root = REPOSITORY / "bundles" / disease
    files = [str(root / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    command = [sys.executable, "-m", "monai.bundle", "run", "evaluating", "--config_file", str(files)]
    command += ["--bundle_root", str(root)]
    for key, value in options.items():
        command += [f"--{key}", str(value).lower() if isinstance(value, bool) else str(value)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def evaluated_here(disease: str, folder: Path, options: dict) -> None:
    """The same run in this process, which has MONAI imported."""
    evaluate = REPOSITORY / "bundles" / disease / "configs" / "evaluate.yaml"
    with _workflow(disease, ["train.yaml", evaluate], "train", options, "evaluating"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disease", "condition", "evaluated"),
    [
        ("tumor", "regions", evaluated_here),
        pytest.param("tumor", "regions", evaluated_by_command, marks=pytest.mark.slow),
        pytest.param("stroke", "box", evaluated_by_command, marks=pytest.mark.slow),
    ],
)
def test_evaluating_command(disease, condition, evaluated, tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    cohort = simulate_cohort(Recipe(disease, 10, seed=1), tmp_path / "cohort", progress=False)
    toy_judge(disease, tmp_path / "judge")
    network = MaskConditionedUNet(in_channels=5 if condition == "regions" else 3, **NETWORK)
    save_weights(network, tmp_path / "toy.pt")
    options = {"datalist": str(cohort.datalist), "output_dir": "out", "judge": str(tmp_path / "judge")}
    options |= {"weights": str(tmp_path / "toy.pt"), "limit": 2, "condition": condition, "steps": 3, "resample": 1}
    options |= {"progress": False, "edits_dir": "edits", "registration": disease == "tumor", **NETWORK}
    for more in ({"shard": "2/2"}, {}) if condition == "box" else ({},):
        evaluated(disease, tmp_path, options | more)
        kept = sorted(path.name for path in (tmp_path / "edits").glob("*.npz"))
        assert kept == [f"testing_0000{k}.npz" for k in ((1,) if more else (0, 1))]
        assert (tmp_path / "out" / "cases.csv").exists() != bool(more)  # a shard measures nothing
    rows = list(csv.DictReader((tmp_path / "out" / "cases.csv").open()))
    assert [row["case_id"] for row in rows] == ["testing_00000", "testing_00001"]
    for row in rows:
        assert float(row["kept_change_outside"]) == 0 and float(row["truth_error_lesion"]) > 0
        edit = read_edit(tmp_path / "edits" / f"{row['case_id']}.npz")
        assert edit.nfe == 3 and edit.edit.shape == (128, 128)
        assert float(row["against_truth_lesion_size"]) > 0 and row["tissue_gray_change"]
        assert ("registration_log_jacobian_ipsilateral" in row) == (disease == "tumor") and row[
            "sulci_sulcal_ipsilateral"
        ]
        assert ("boxes_box_dice" in row) == (condition == "box") and ("regions_core_present" in row) == (
            disease == "tumor"
        )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["sets"] == {} and summary["cases"] == 2 and summary["figures"]["truth_error_zone"]["n_cases"] == 2


def test_what_it_wants(tmp_path):
    with pytest.raises(InputError, match="--datalist: is missing; give the list of a paired cohort"):
        evaluation_cases(None, None, "testing", None, "mask")
    path = tmp_path / "datalist.json"
    path.write_text(
        json.dumps({"testing": [{"case_id": "a", "image": "a.nii", "brain": "b.nii", "pathology": "p.nii"}]})
    )
    with pytest.raises(InputError, match="case 'a' has no 'prior'; evaluation wants a paired cohort"):
        evaluation_cases(path, None, "testing", None, "mask")
    with pytest.raises(InputError, match="has no cases under 'held_out' .found: testing"):
        evaluation_cases(path, None, "held_out", None, "mask")
    with pytest.raises(InputError, match="has no 'prior'; evaluation wants a scan without lesion"):
        evaluation_cases(path, None, "testing", None, "mask", pairing="thesis")


def test_triplets_take_the_scans_own_brain_and_no_truth(tmp_path):
    case = {"case_id": "a", "patient": "x", "stratum": None}
    for key in ("prior", "prior_brain", "brain", "pathology", "image"):
        (tmp_path / f"{key}.nii").write_bytes(b"")
        case[key] = f"{key}.nii"
    path = tmp_path / "triplets.json"
    path.write_text(json.dumps({"testing": [case]}))
    (found,) = evaluation_cases(path, None, "testing", None, "mask", pairing="thesis")
    assert set(found) == {"case_id", "patient", "prior", "brain", "pathology"}
    assert found["brain"] == str(tmp_path / "prior_brain.nii")

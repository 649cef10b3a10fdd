# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out masks synthesized and measured, by the bundle's own configs at toy size."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow
from monai.networks.nets import resnet10
from synthesis.heads import MODALITIES, label_array, write_heads

from mededit_monai.core.errors import InputError
from mededit_monai.core.running import running
from mededit_monai.networks import save_weights
from mededit_monai.synthesis.evaluate import (
    evaluation_heads,
    measure_head,
    measure_sets,
    run_synthesis_evaluation,
)
from mededit_monai.synthesis.labels import told_of
from mededit_monai.workflows import bundle_content

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"


def head(noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four modalities that follow from the labels, with noise of their own."""
    labels = label_array((24, 24, 24), (6, 6, 6))
    levels = np.array(
        [[0, 0.3, 0.4, 0.5, 0.7], [0, 0.3, 0.4, 1, 0.7], [0, 0.9, 0.8, 0.6, 0.4], [0, 0.3, 0.9, 0.7, 0.5]]
    )
    rng = np.random.default_rng(seed)
    made = levels[:, labels] + noise * rng.standard_normal((4, *labels.shape)) * (labels > 0)
    return made.clip(0, 1), labels


def test_a_perfect_head_and_one_whose_modalities_fall_apart():
    real, labels = head(0.05, 0)
    same = measure_head(real, real, labels, MODALITIES)
    assert same["mse_t1"] == 0 and same["ms_ssim_flair"] == pytest.approx(1)
    assert all(same[f"information_{pair}"] == same[f"information_{pair}_real"] for pair in ("t1_t2", "t2_flair"))
    apart = np.stack([real[0], real[1], np.roll(real[2], 6, axis=0), real[3]])
    found = measure_head(apart, real, labels, MODALITIES)
    assert found["information_t1_t2"] < found["information_t1_t2_real"]
    assert found["information_t1_flair"] == found["information_t1_flair_real"]


def test_a_tumour_that_is_drawn_too_faintly():
    real, labels = head(0, 0)
    faint = np.where((labels > 0) & (labels < 4), (real + 0.7) / 2, real)
    found = measure_head(faint, real, labels, MODALITIES)
    assert found["contrast_t1_core_real"] == pytest.approx(0.3 - 0.7)
    assert found["contrast_t1_core"] == pytest.approx(found["contrast_t1_core_real"] / 2)
    assert found["contrast_t1ce_enhancing_real"] == pytest.approx(1 - 0.7)


def test_sets_of_copies_and_of_the_real_ones():
    real = [head(0.1, k)[0] for k in range(4)]
    same = measure_sets(real, real, MODALITIES, None)
    assert (
        list(same) == list(MODALITIES)
        and "fid_volumes" not in same["t1"]
        and same["t1"]["diversity"] == same["t1"]["diversity_real"] < 1
    )
    assert same["t1"]["mmd"] == pytest.approx(0, abs=1e-12)
    for groups in (["a", "b", "a", "b"], ["a", "a", "b", "b"]):  # of the second, each half is of one person
        assert measure_sets(real, real, MODALITIES, None, None, groups)["t1"]["mmd"] == pytest.approx(0, abs=1e-12)
    copies = measure_sets([real[0]] * 4, real, MODALITIES, None)
    assert copies["t2"]["diversity"] == pytest.approx(1, abs=1e-5) and "fid_3d" not in copies["t2"]


def test_the_floor_of_a_fid_is_held_against_sets_of_as_many_heads(monkeypatch):
    made, real = ([head(0.1, start + k)[0] for k in range(4)] for start in (10, 0))
    asked = []
    monkeypatch.setattr(
        "mededit_monai.synthesis.evaluate.planes_fid",
        lambda _, one, two: asked.append((one, two)) or {"mean": len(one)},
    )
    scores = measure_sets(made, real, MODALITIES, object())["t1"]
    assert (scores["fid_3d"], scores["fid_3d_floor"], scores["fid_3d_halves"]) == (4, 2, 2)
    crossed = []
    for one, two in asked[2:4]:
        crossed.append(
            [
                [k for v in part for k in range(4) if v is own[k][0] or np.array_equal(v, own[k][0])]
                for own, part in ((made, one), (real, two))
            ]
        )
    assert crossed == [[[0, 1], [2, 3]], [[2, 3], [0, 1]]]  # never a head beside the real one of its mask


def test_what_the_network_is_told():
    labels = label_array((16, 16, 16), (8, 8, 8))
    for condition, width in (("mask", 1), ("regions", 3)):
        told = told_of(labels, condition).numpy()
        assert told.shape == (1 + width, 16, 16, 16) and np.array_equal(told[0] > 0, labels > 0)
        assert np.array_equal(told[1:].sum(axis=0) > 0, (labels > 0) & (labels < 4))


@pytest.mark.slow
def test_the_evaluation(tmp_path, capsys):
    (tmp_path / "heads").mkdir()
    write_heads(tmp_path / "heads", 32, (3, 2))
    save_weights(bundle_content(BUNDLE, ("network_def",))[0], tmp_path / "model.pt")
    given = {"dataset_dir": str(tmp_path / "heads"), "split": "training", "weights": str(tmp_path / "model.pt")}
    given |= {"output_dir": str(tmp_path / "out"), "steps": 2, "progress": False, "device": "cpu"}
    given |= {"side": 32, "depth": 32, "extractor": str(tmp_path / "resnet.pth")}
    kind = {"n_input_channels": 1, "conv1_t_stride": 2, "bias_downsample": False, "widen_factor": 0.125}
    torch.save(resnet10(spatial_dims=3, feed_forward=False, **kind).state_dict(), tmp_path / "resnet.pth")
    files = [str(BUNDLE / "configs" / name) for name in ("inference.yaml", "evaluate.yaml")]
    workflow = ConfigWorkflow(
        files, logging_file=False, workflow_type="infer", run_id="evaluating", bundle_root=str(BUNDLE), **given
    )
    workflow.initialize()
    workflow.run()
    with running(workflow.parser), pytest.raises(SystemExit):
        workflow.parser["side"] = 64
        workflow.parser.parse(True)
        run_synthesis_evaluation(workflow.parser)
    assert "has the size (32, 32, 32), wanted (64, 64, 32), the network's" in capsys.readouterr().err
    lines = list(csv.DictReader((tmp_path / "out" / "cases.csv").open()))
    assert [line["case_id"] for line in lines] == ["training_0", "training_1", "training_2"]
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert content["synthetic"] is True and content["cases"] == 3 and content["extractor"].startswith("mededit_judge")
    mean = np.mean([float(line["mse_t1"]) for line in lines])
    assert content["heads"]["mse_t1"]["value"] == pytest.approx(mean, rel=1e-6)
    assert content["volumes_extractor"].startswith("resnet10_3d/") and content["sets"]["t1"]["fid_volumes"] > 0
    assert content["sets"]["t1"]["fid_3d"] > 0 and content["request"]["weights_sha256"]
    assert "Synthesized volumes of 3 held-out masks" in (tmp_path / "out" / "summary.md").read_text()
    assert (tmp_path / "out" / "training_0_synthetic.png").stat().st_size > 5000


def test_a_file_that_is_no_extractor_is_said_at_once(tmp_path, capsys):
    given = {
        "dataset_dir": str(tmp_path),
        "weights": str(tmp_path / "none.pt"),
        "extractor": str(tmp_path / "none.pth"),
    }
    files = [str(BUNDLE / "configs" / name) for name in ("inference.yaml", "evaluate.yaml")]
    workflow = ConfigWorkflow(
        files, logging_file=False, workflow_type="infer", run_id="evaluating", bundle_root=str(BUNDLE), **given
    )
    workflow.initialize()
    with pytest.raises(SystemExit) as ended:
        workflow.run()
    assert ended.value.code == 2 and "none.pth is no file; give the weights of a 3-D ResNet" in capsys.readouterr().err


def test_what_it_refuses(tmp_path):
    datalist = write_heads(tmp_path, 16, (2, 1))
    with pytest.raises(InputError, match="has 1 cases under 'validation', wanted at least two"):
        evaluation_heads(datalist, "validation", ["t1"], None)
    with pytest.raises(InputError, match="case 'training_0' has no file 'pd'"):
        evaluation_heads(datalist, "training", ["pd"], None)

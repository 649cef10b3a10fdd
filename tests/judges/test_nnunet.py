# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""nnU-Net: export, resuming and refusals without it; a real training at toy size where it is installed (slow)."""

from __future__ import annotations

import importlib.util
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from judges.toy_cohort import write_cohort

from mededit_monai.core.errors import InputError
from mededit_monai.judges import nnunet
from mededit_monai.judges.nnunet import (
    DATASET,
    NNUNetFolder,
    NNUNetJudge,
    export_datalist,
    predict_nnunet,
    train_nnunet,
)


@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_export(tmp_path, disease):
    cohort = write_cohort(tmp_path / "cohort", disease)
    folder = NNUNetFolder(tmp_path / "nn")
    raw = export_datalist(cohort / "datalist.json", folder, disease)
    content = json.loads((raw / "dataset.json").read_text())
    assert raw.name == DATASET and content["numTraining"] == 8 and content["file_ending"] == ".nii.gz"
    assert content["channel_names"] == {"0": "T1" if disease == "stroke" else "T1Gd"}
    assert sorted(content["labels"].values()) == ([0, 1] if disease == "stroke" else [0, 1, 2, 3])
    image = nib.load(raw / "imagesTr" / "training_00000_0000.nii.gz")
    labels = nib.load(raw / "labelsTr" / "training_00000.nii.gz")
    assert image.shape == labels.shape == (32, 32, 1)  # the singleton axis is the third
    key = "pathology" if disease == "stroke" else "regions"
    truth = nib.load(cohort / "training_00000" / f"{key}.nii").get_fdata()
    assert np.array_equal(labels.get_fdata(), truth) and np.allclose(labels.affine, image.affine)
    # The planner takes the axis with the largest spacing for the one across slices: 1 mm would turn this on its side.
    assert image.header.get_zooms() == (2.0, 2.0, 999.0)
    split = json.loads((raw / "splits_final.json").read_text())[0]
    assert split["val"] == ["validation_00000", "validation_00001"] and len(split["train"]) == 6


def test_folder_of_another_data_set_is_refused(tmp_path):
    folder = NNUNetFolder(tmp_path / "nn")
    export_datalist(write_cohort(tmp_path / "a") / "datalist.json", folder, "stroke")
    export_datalist(tmp_path / "a" / "datalist.json", folder, "stroke")  # again: nothing to do
    other = write_cohort(tmp_path / "b", counts=(4, 2, 4)) / "datalist.json"
    with pytest.raises(InputError, match="is about another datalist"):
        export_datalist(other, folder, "stroke")


def test_what_nnunet_is_told(tmp_path):
    told = NNUNetFolder(tmp_path, max_epochs=3, iterations=7).environment("train")
    assert told["nnUNet_raw"] == str(tmp_path / "raw") and told["MEDEDIT_NNUNET_EPOCHS"] == "3"
    assert told["nnUNet_n_proc_DA"] == "0" and NNUNetFolder(tmp_path).environment("plan")["nnUNet_n_proc_DA"] == "1"
    assert told["MEDEDIT_NNUNET_BATCH"] == "16" and told["MEDEDIT_NNUNET_ITERATIONS"] == "7"
    with pytest.raises(InputError, match="--batch_size: got 0, wanted a whole number of at least 1"):
        NNUNetFolder(tmp_path, batch_size=0).check()
    assert NNUNetFolder(tmp_path, "thesis").trainer_class == "MedEditTrainerThesis"
    assert NNUNetFolder(tmp_path, "nnUNetTrainer").trainer_class == "nnUNetTrainer"


def test_missing_package_and_missing_model(tmp_path, monkeypatch):
    monkeypatch.setattr(nnunet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="nnunetv2 is not installed, wanted 2.8.1"):
        train_nnunet("none.json", NNUNetFolder(tmp_path), "stroke")
    with pytest.raises(InputError, match="holds no trained model"):
        predict_nnunet(tmp_path, tmp_path / "out", NNUNetFolder(tmp_path))
    with pytest.raises(InputError, match="mededit_nnunet.json: not found"):
        NNUNetJudge(NNUNetFolder(tmp_path)).segment(np.zeros((1, 32, 32)))


def test_failure_names_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(nnunet, "require_nnunet", lambda: None)
    monkeypatch.setattr(nnunet.sys, "executable", shutil.which("false"))
    with pytest.raises(InputError, match="nnU-Net's train ended with code 1 .* read .*train.log"):
        NNUNetFolder(tmp_path).run("train", "no_such_data_set")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="needs the extra 'nnunet'")
@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_toy_training(tmp_path, disease):
    cohort = write_cohort(tmp_path / "cohort", disease, size=64)
    folder = NNUNetFolder(tmp_path / "nn", max_epochs=1, iterations=2)
    model = train_nnunet(cohort / "datalist.json", folder, disease)
    assert (model / "fold_0" / "checkpoint_final.pth").is_file()
    plans = json.loads((model / "plans.json").read_text())["configurations"]["2d"]
    assert min(plans["patch_size"]) >= 32  # not 1x64: the third axis is the slices'
    logs = sorted((model / "fold_0").glob("training_log*"))
    train_nnunet(cohort / "datalist.json", folder, disease)
    assert sorted((model / "fold_0").glob("training_log*")) == logs  # done: not trained again
    judge = NNUNetJudge(folder)
    images = np.stack([nib.load(p).get_fdata()[..., 0] for p in sorted(cohort.glob("testing_*/image.nii"))])
    masks = judge.segment(images)
    assert masks["pathology"].shape == images.shape and judge.name.startswith("nnunet_2d_MedEditTrainerShort_")
    assert ("regions" in masks) == (disease == "tumor")

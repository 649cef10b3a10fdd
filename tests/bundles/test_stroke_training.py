# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training the stroke bundle: outputs, options, presets and what it refuses."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY

from mededit_monai.core.errors import InputError
from mededit_monai.io import atomic
from mededit_monai.networks import MaskConditionedUNet, load_weights, save_weights
from mededit_monai.workflows import train

BUNDLE = REPOSITORY / "bundles" / "stroke"
NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}
TOY = {"cohort_size": 4, "validation_size": 2, "batch_size": 2, "max_epochs": 1, "preview_interval": 0}
TOY |= {"progress": False, **NETWORK}


def toy_network() -> MaskConditionedUNet:
    return MaskConditionedUNet(**NETWORK)


def cases(folder: Path, count: int = 4, size: int = 16) -> Path:
    """A datalist of small squares with a lesion each."""
    rng = np.random.default_rng(0)
    entries = []
    for k in range(count):
        planes = {"image": rng.uniform(0, 1, (size, size, 1)), "brain": np.ones((size, size, 1))}
        planes["pathology"] = np.zeros((size, size, 1))
        planes["pathology"][4:7, 4:7] = 1
        for key, plane in planes.items():
            nib.save(nib.Nifti1Image(plane.astype(np.float32), np.eye(4)), folder / f"{key}_{k}.nii.gz")
        entries.append({"case_id": f"case{k}", **{key: f"{key}_{k}.nii.gz" for key in planes}})
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": entries[: count // 2], "validation": entries[count // 2 :]}))
    return path


def small(folder: Path, count: int = 8) -> dict:
    """Options of a training on such squares, a fiftieth of a cohort's slices."""
    return TOY | {"datalist": str(cases(folder, count))}


def edit_file(path: Path, change) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(image.get_fdata().astype(np.float32)), image.affine), path)


@pytest.mark.slow
def test_what_a_training_leaves(tmp_path):
    out = train(output_dir=tmp_path / "out", **(TOY | {"max_epochs": 2, "preview_interval": 2}))
    last, best = toy_network(), toy_network()
    load_weights(last, out / "model_last.pt")
    load_weights(best, out / "model.pt")
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    averaged = state["objects"]["ema"]["network"]
    assert all(torch.allclose(v, averaged[k], atol=2e-3) for k, v in last.state_dict().items())
    assert [p.name for p in (out / "previews").iterdir()] == ["epoch_0002.png"]
    with open(out / "history.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"] and state["best"]["value"] == min(
        float(row["val_loss"]) for row in rows
    )
    by_level = [float(value) for key, value in rows[-1].items() if key.startswith("val_loss_t")]
    assert np.mean(by_level) == pytest.approx(float(rows[-1]["val_loss"]), rel=1e-5)
    record = json.loads((out / "training.json").read_text())
    assert record["settings"]["batch_size"] == 2 and record["versions"]["torch"]
    assert (out / "progress.png").is_file() and list((out / "tensorboard").iterdir())


@pytest.mark.slow  # what it leaves: the test above
def test_training_command(tmp_path):
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(BUNDLE)]
    command += ["--config_file", str(BUNDLE / "configs" / "train.yaml"), "--output_dir", "out"]
    for key, value in (TOY | {"max_epochs": 2, "preview_interval": 2, "tracking": "mlflow"}).items():
        command += [f"--{key}", str(value)]
    offline = os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, env=offline)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "model.pt").is_file() and (tmp_path / "out" / "mlruns.db").is_file()
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "epoch 1/2" in line or "epoch 2/2" in line]
    assert len(lines) == 2 and "val_loss" in lines[0] and "h left" in lines[0]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "options",
    [
        {"loss_kind": "l1", "min_snr_gamma": 5.0, "lesion_weight": 2.0, "prediction_type": "epsilon"},
        {"loss_kind": "huber", "accumulation_steps": 2, "batch_size": 2, "clip_norm": 0.1, "lr_schedule": "constant"},
        {"ema_decay": 0.0, "channels_last": True, "cache": "none", "warp": 1.0, "contrast": 1.0, "bias": 1.0},
        {"cache": "disk", "num_workers": 1, "prediction_type": "sample", "amp": "bf16", "device": "cpu"},
    ],
    ids=str,
)
def test_options(tmp_path, options):
    train(output_dir=tmp_path / "out", **(small(tmp_path) | options))
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert all(torch.isfinite(v).all() for v in state.values())


@pytest.mark.slow
def test_accumulation_is_a_larger_batch(tmp_path):
    train(output_dir=tmp_path / "one", **TOY, ema_decay=0.0)
    train(output_dir=tmp_path / "two", **(TOY | {"batch_size": 1, "accumulation_steps": 2, "warmup_iterations": 1}))
    moved = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert moved["iteration"] == 4
    steps = {int(v["step"]) for v in moved["objects"]["optimizer"]["state"].values()}
    assert steps == {2}


def test_small_preset_is_the_default():
    small = yaml.safe_load((REPOSITORY / "configs" / "small.yaml").read_text())
    default = yaml.safe_load((BUNDLE / "configs" / "train.yaml").read_text())
    assert small == {key: default[key] for key in small}


def test_release_preset_trains_on_a_cpu_too(tmp_path):
    overlay = REPOSITORY / "configs" / "release.yaml"
    release = yaml.safe_load(overlay.read_text())
    assert release["max_epochs"] * release["epoch_cases"] >= 300_000  # as many samples as the default editor, about
    train(overlays=[overlay], output_dir=tmp_path, **TOY, epoch_cases=4, val_cases=2)
    record = json.loads((tmp_path / "training.json").read_text())["settings"]
    assert record["amp"] in (None, "bf16") and record["ema_decay"] == 0.999 and record["contrast"] == 0.7


@pytest.mark.slow
def test_thesis_preset(tmp_path):
    overlay = REPOSITORY / "configs" / "thesis.yaml"
    thesis = yaml.safe_load(overlay.read_text())
    assert (thesis["batch_size"], thesis["learning_rate"], thesis["lr_schedule"]) == (32, 1e-4, "constant")
    network = yaml.safe_load((REPOSITORY / "configs" / "thesis_network.yaml").read_text())
    for key in ("channels", "attention_levels", "num_head_channels", "norm_num_groups", "patch"):
        assert network[f"network_def#{key}"] == thesis[key]
    quick = TOY | {"val_interval": 1, "amp": None}  # the preset's recipe at toy size
    train(overlays=[overlay], output_dir=tmp_path, **quick)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    record = json.loads((tmp_path / "training.json").read_text())["settings"]
    assert record["prediction_type"] == "epsilon" and record["ema_decay"] == 0 and record["flip"] == 0
    assert torch.equal(
        state["objects"]["ema"]["network"]["unet.out.2.conv.weight"],
        state["objects"]["network"]["unet.out.2.conv.weight"],
    )


def test_warm_start_begins_with_the_given_weights(tmp_path):
    network = toy_network()
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0.01)
    save_weights(network, tmp_path / "start.pt")
    given = small(tmp_path) | {"init_weights": str(tmp_path / "start.pt"), "learning_rate": 1e-9}
    train(output_dir=tmp_path / "out", **given)
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["objects"]["network"]
    assert all(torch.allclose(v, torch.full_like(v, 0.01), atol=1e-5) for v in state.values())


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"lerning_rate": 1}, ("--lerning_rate", "did you mean --learning_rate")),
        ({"loss_kind": "mae"}, ("--loss_kind", "mae", "l1")),
        ({"prediction_type": "v"}, ("--prediction_type", "v_prediction")),
        ({"amp": "fp8"}, ("--amp", "fp8", "bf16")),
        ({"cache": "ram"}, ("--cache", "ram", "memory")),
        ({"batch_size": 5}, ("--batch_size", "5", "4 cases")),
        ({"max_epochs": 0}, ("--max_epochs", "0", "at least 1")),
        ({"flip": 1.5}, ("--flip", "1.5", "between 0 and 1")),
        ({"learning_rate": 0}, ("--learning_rate", "positive")),
        ({"ema_decay": 1.0}, ("--ema_decay", "1.0", "below 1")),
        ({"init_weights": "none.pt"}, ("none.pt", "not found")),
        ({"datalist": "none.json"}, ("none.json", "not found")),
    ],
    ids=str,
)
def test_bad_options(tmp_path, options, words):
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **(TOY | options))
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "out" / "model.pt").exists()


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("image_1", lambda a: a[:, :8], ("case1", "(16, 8)", "(16, 16)")),
        ("image_0", lambda a: a * np.nan, ("case0", "'image'", "NaN")),
        ("image_0", lambda a: a * 255, ("case0", "[0, 1]", "percentile")),
        ("pathology_1", lambda a: a * 0.5, ("case1", "'pathology'", "0 and 1")),
    ],
    ids=["other size", "NaN", "other range", "not binary"],
)
def test_bad_cases(tmp_path, name, change, words):
    datalist = cases(tmp_path)
    edit_file(tmp_path / f"{name}.nii.gz", change)
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **(TOY | {"batch_size": 2}), datalist=str(datalist))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("missing, words", [("file", ("pathology_0", "not found")), ("key", ("case0", "'pathology'"))])
def test_a_missing_mask(tmp_path, missing, words):
    datalist = cases(tmp_path)
    if missing == "file":
        (tmp_path / "pathology_0.nii.gz").unlink()
    else:
        content = json.loads(datalist.read_text())
        del content["training"][0]["pathology"]
        datalist.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **(TOY | {"batch_size": 2}), datalist=str(datalist))
    for word in words:
        assert word in str(caught.value)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    datalist, out = cases(tmp_path), tmp_path / "out"
    options = TOY | {"batch_size": 2, "datalist": str(datalist), "warmup_iterations": 0, "lr_schedule": "constant"}
    train(output_dir=out, **options)
    kept = (out / "checkpoint.pt").read_bytes()
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    state["objects"]["network"]["unet.out.2.conv.bias"] += float("inf")  # as a step gone wrong would leave it
    torch.save(state, out / "checkpoint.pt")
    damaged = (out / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match=r"loss is (inf|nan) at epoch 2, iteration 2, on the cases case\d, case\d"):
        train(output_dir=out, **(options | {"max_epochs": 2}))
    assert (out / "checkpoint.pt").read_bytes() == damaged != kept


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(tmp_path, monkeypatch):
    out, given = tmp_path / "out", small(tmp_path)
    train(output_dir=out, **given)
    before = {name: (out / name).read_bytes() for name in ("model.pt", "model_last.pt", "checkpoint.pt")}
    with monkeypatch.context() as patch:
        patch.setattr(atomic.secrets, "token_hex", lambda _: "name")
        (out / ".name.unfinished.model_last.pt").symlink_to("/dev/full")
        match = r"model_last\.pt: cannot be written \(No space left on device\).*make room"
        with pytest.raises(InputError, match=match):
            train(output_dir=out, **(given | {"max_epochs": 2}))
    assert before == {name: (out / name).read_bytes() for name in before}
    train(output_dir=out, **(given | {"max_epochs": 2}))  # room again: it goes on


@pytest.mark.slow
def test_fewer_epochs_than_done(tmp_path, caplog):
    out, given = tmp_path / "out", small(tmp_path)
    train(output_dir=out, **(given | {"max_epochs": 2}))
    with caplog.at_level(logging.INFO):
        train(output_dir=out, **(given | {"max_epochs": 2}))
    assert "2 epochs done, the training is done" in caplog.text
    with pytest.raises(InputError, match="--max_epochs: got 1, but .* has 2 epochs"):
        train(output_dir=out, **given)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A training that is killed and restarted ends with the weights of one that was not; so does one of two processes."""

from __future__ import annotations

import csv
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from mededit_monai.workflows import train

BUNDLE = REPOSITORY / "bundles" / "stroke"
TOY = {
    "cohort_size": 16,
    "validation_size": 4,
    "channels": [8, 16],
    "attention_levels": [False, True],
    "norm_num_groups": 4,
    "num_head_channels": 8,
    "warp": 0.5,
    "contrast": 0.5,
    "bias": 0.5,
    "clip_norm": 1.0,
    "preview_interval": 0,
    "progress": False,
}


def command(output: Path, *overlays: str, **options) -> list[str]:
    configs = [str(BUNDLE / "configs" / name) for name in ("train.yaml", *overlays)]
    words = ["-m", "monai.bundle", "run", "training", "--config_file", repr(configs), "--bundle_root", str(BUNDLE)]
    for key, value in {**TOY, "output_dir": output, **options}.items():
        words += [f"--{key}", str(value)]
    return words


def largest_difference(one: Path, other: Path) -> float:
    """Over all tensors of network, average and optimizer of two checkpoints."""

    def tensors(item):
        if isinstance(item, torch.Tensor):
            yield item.double()
        elif isinstance(item, dict):
            for key in sorted(item, key=str):
                yield from tensors(item[key])
        elif isinstance(item, (list, tuple)):
            for value in item:
                yield from tensors(value)

    first, second = (torch.load(p / "checkpoint.pt", weights_only=True) for p in (one, other))
    assert first["epoch"] == second["epoch"] and first["iteration"] == second["iteration"]
    pairs = list(zip(tensors(first["objects"]), tensors(second["objects"]), strict=True))
    assert len(pairs) > 50
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Four epochs of four iterations, never stopped; only what is killed needs a process, which starts for seconds."""
    folder = tmp_path_factory.mktemp("whole")
    train(output_dir=folder, max_epochs=4, batch_size=4, **TOY)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.7, pytest.param(0.0, marks=pytest.mark.slow)])
def test_killed_training_ends_with_the_same_weights(whole, tmp_path, caplog, delay):
    """SIGKILL ``delay`` seconds after the first checkpoint: somewhere in the next epoch, or while it saves."""
    words = command(tmp_path, max_epochs=4, batch_size=4)
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE)
    started = time.monotonic()
    while not (tmp_path / "checkpoint.pt").is_file():
        assert process.poll() is None and time.monotonic() - started < 300, process.stderr.read().decode()[-2000:]
        time.sleep(0.01)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    at = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"]
    assert at < 4, "it was done before it was killed"
    with caplog.at_level(logging.INFO):
        train(output_dir=tmp_path, max_epochs=4, batch_size=4, **TOY)
    assert f"{at} epochs done, going on" in caplog.text
    difference = largest_difference(whole, tmp_path)
    print(f"killed {delay} s after the first checkpoint, in epoch {at + 1} of 4: largest difference {difference:g}")
    assert difference == 0
    for name in ("model.pt", "model_last.pt"):
        assert (whole / name).read_bytes() == (tmp_path / name).read_bytes()
    rows = [list(csv.DictReader((p / "history.csv").read_text().splitlines())) for p in (whole, tmp_path)]
    for one, other in zip(*rows, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.slow
def test_other_settings_are_not_mixed_in(whole):
    done = subprocess.run([sys.executable, *command(whole, max_epochs=4, batch_size=8)], capture_output=True, text=True)
    assert done.returncode == 2 and "batch_size = 4, now 8" in done.stderr and "--resume false" in done.stderr


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(whole, tmp_path):
    words = command(tmp_path, "multi_gpu_train.yaml", backend="gloo", max_epochs=4, batch_size=2)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    difference = largest_difference(whole, tmp_path)
    print(f"two gloo processes of batch 2 against one of batch 4, 16 iterations: largest difference {difference:g}")
    assert 0 < difference < 1e-4  # sums in another order; exactly 0 would mean that one process did it all

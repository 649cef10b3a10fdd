# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the data pipeline costs beside a training step.

    python -m mededit_monai.reports.training_bench --bundle stroke

Prints, without and with all augmentations: milliseconds to load, augment and prepare a batch; milliseconds of forward,
backward and optimizer step on a batch that is already there; the first as a share of the second (wanted below 10 %).
Medians over the batches of one epoch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from typing import Any

import monai
import torch

from mededit_monai.core.errors import exit_on_bad_input, require_whole
from mededit_monai.core.program import run_program
from mededit_monai.workflows import bundle_content

#: Largest share of the step's time that the data may cost.
CEILING = 0.10


def pipeline_overhead(bundle: str = "stroke", batches: int = 10, **options: Any) -> tuple[float, float]:
    """
    Median seconds a batch for the data, and for the training step alone.

    Args:
        batches: how many are timed of each, after one that is not.
        options: of the bundle's ``train.yaml``.
    """
    monai.data.set_track_meta(False)  # as the training does
    names = ("train#dataloader", "train#prepare_batch", "train#inferer", "model", "loss", "optimizer", "device")
    sizes = {"cohort_size": 16 * (batches + 1), "validation_size": 4}
    with tempfile.TemporaryDirectory() as scratch:  # for a cache on disk, where memory is scarce
        given = sizes | {"output_dir": scratch} | options
        return _timed(batches, *bundle_content(bundle, names, config="train.yaml", **given))


def _timed(
    batches: int, loader: Any, prepare: Any, inferer: Any, network: Any, loss: Any, optimizer: Any, device: Any
) -> tuple[float, float]:
    network.train()
    data, steps, source = [], [], iter(loader)
    for _ in range(min(batches + 1, len(loader))):
        started = time.perf_counter()
        image, target, _, keywords = prepare(next(source), device)
        data.append(time.perf_counter() - started)
        started = time.perf_counter()
        optimizer.zero_grad()
        loss(inferer(image, network, **keywords), target).backward()
        optimizer.step()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        steps.append(time.perf_counter() - started)
    return statistics.median(data[1:]), statistics.median(steps[1:])


def main() -> int:
    """Command line of the module; exit code 1 if the data cost more than the ceiling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--batches", type=int, default=10)
    arguments = parser.parse_args()
    worst = 0.0
    with exit_on_bad_input():
        require_whole("batches", arguments.batches, 1, most=10**4)
        for name, options in (("default", {}), ("all augmentations", {"warp": 1.0, "contrast": 1.0, "bias": 1.0})):
            data, step = pipeline_overhead(arguments.bundle, arguments.batches, **options)
            worst = max(worst, data / step)
            print(f"{name}: data {1000 * data:.1f} ms, step {1000 * step:.0f} ms a batch, {data / step:.1%}")
    return 0 if worst < CEILING else 1


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

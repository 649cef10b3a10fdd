# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What semantic synthesis takes: seconds and memory of a training step and of a synthesis, for each of its sizes.

    python -m studies.synthesis_cost [--sizes 64 96 128] [--no_checkpointing]

Each measure is a process of its own, with the network, loss, optimizer and half precision that the bundle's configs
give: one training step of one volume after another that is not counted, or a synthesis in 10 steps. Memory is the
process's peak on a CPU (Python and libraries included), and that of the tensors on a GPU. Prints a table, and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from mededit_monai.core.devices import autocast_on_cpu
from mededit_monai.core.paths import bundle_root
from mededit_monai.core.program import run_program
from mededit_monai.core.running import running
from mededit_monai.reports.plain_text import markdown_table

REPOSITORY = Path(__file__).resolve().parents[1]

#: Name → side, and the config that is laid over the bundle's.
SIZES: dict[str, tuple[int, str | None]] = {
    "64": (64, None),
    "64_four": (64, "bundles/semantic_synthesis/configs/four_modalities.yaml"),
    "96": (96, "configs/med_ddpm_96.yaml"),
    "128": (128, "configs/med_ddpm_t1.yaml"),
}

HEADS = ("size", "weights", "network", "s a training step", "GB", "s a synthesis", "GB")


def parsed(size: str, config: str, **options: Any) -> ConfigParser:
    """The bundle's config with that of a size over it."""
    files = [str(bundle_root("semantic_synthesis") / "configs" / config)]
    files += [str(REPOSITORY / one) for one in (SIZES[size][1],) if one is not None]
    parser = ConfigParser()
    parser.read_config(files)
    parser.update({"bundle_root": str(bundle_root("semantic_synthesis")), "progress": False, **options})
    return parser


def training_step(size: str, checkpointing: bool) -> float:
    """Seconds of one training step of one random volume."""
    parser = parsed(size, "train.yaml", **({} if checkpointing else {"checkpointing": False}))
    with running(parser):
        names = ("model", "optimizer", "scheduler", "network_def", "device", "amp")
        network, optimizer, scheduler, shape, device, amp = (parser.get_parsed_content(name) for name in names)
    side = SIZES[size][0]
    told = torch.zeros(1, shape.in_channels - shape.out_channels, side, side, side, device=device)
    image = torch.randn(1, shape.out_channels, side, side, side, device=device)
    denoise = autocast_on_cpu(lambda x, network, t: network(x, timesteps=t), amp, device)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        t = torch.randint(0, scheduler.num_train_timesteps, (1,), device=device)
        noise = torch.randn_like(image)
        with torch.autocast("cuda", enabled=device.type == "cuda", dtype=torch.bfloat16):
            noisy = torch.cat([scheduler.add_noise(image, noise, t), told], dim=1)
            loss = torch.nn.functional.l1_loss(denoise(noisy, network, t).float(), noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return seconds[-1]


def synthesis(size: str) -> float:
    """Seconds of a synthesis in 10 steps, by random weights."""
    parser = parsed(size, "inference.yaml")
    names = ("network_def", "inferer", "device")
    network, inferer, device = (parser.get_parsed_content(name) for name in names)
    network = network.to(device).eval()
    inferer.progress = False
    side = SIZES[size][0]
    told = torch.ones(1, network.in_channels - network.out_channels, side, side, side, device=device)
    start = time.perf_counter()
    half = "cuda" if device.type == "cuda" else "cpu"
    with torch.autocast(half, dtype=torch.bfloat16):
        inferer(told, network, [0])
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(size: str, what: str, checkpointing: bool) -> dict[str, float]:
    """In this process: seconds, and gigabytes at the peak."""
    seconds = training_step(size, checkpointing) if what == "training" else synthesis(size)
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 1e9
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": seconds, "gigabytes": peak}


def measured(size: str, what: str, checkpointing: bool) -> dict[str, float]:
    """The same in a process of its own, whose peak is of this alone."""
    words = [sys.executable, "-m", "studies.synthesis_cost", "--one", size, what]
    words += [] if checkpointing else ["--no_checkpointing"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(size: str, checkpointing: bool) -> list[str]:
    """A size's line of the table."""
    network = parsed(size, "train.yaml").get_parsed_content("network_def")
    weights = sum(one.numel() for one in network.parameters()) / 1e6
    kept = checkpointing and bool(parsed(size, "train.yaml").get_parsed_content("checkpointing"))
    cells = [f"{SIZES[size][0]}³, {network.out_channels} of 4 modalities", f"{weights:.1f} M"]
    cells.append("gradient checkpointing" if kept else "as it is")
    for what in ("training", "synthesis"):
        found = measured(size, what, checkpointing)
        cells += [f"{found['seconds']:.3g}", f"{found['gigabytes']:.1f}"]
    return cells


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--no_checkpointing", action="store_true", help="keep all activations")
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "WHAT"), help="measure in this process, print JSON")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, not asked.no_checkpointing)))
        return 0
    rows = [row(size, not asked.no_checkpointing) for size in asked.sizes]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print("\n".join([*markdown_table(HEADS, rows), "", f"On {device}; bfloat16."]))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

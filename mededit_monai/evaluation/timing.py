# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory of an edit, and what else a user waits for."""

from __future__ import annotations

import ctypes
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import default_collate

from mededit_monai.evaluation.rows import Row
from mededit_monai.evaluation.run_row import Job, row_workflow
from mededit_monai.reports.training_bench import pipeline_overhead
from mededit_monai.workflows import bundle_content

#: Settings with more evaluations are timed once and not warmed up: their first call is a small part of them.
LONG = 100

#: Cases in the batch whose throughput is measured.
BATCH = 16

#: What a new process runs until it can edit, by the name in the report.
STARTS = {
    "import mededit_monai": ["-c", "import mededit_monai"],
    "mededit --help": ["-m", "mededit_monai.cli", "--help"],
    "import all that an edit needs": ["-c", "import mededit_monai.workflows, mededit_monai.handlers"],
}


@dataclass(frozen=True)
class Timing:
    """
    Args:
        seconds: of one edit of one case, after start-up (median).
        nfe: network evaluations.
        memory_mb: peak above what was held before the edit; None where the system does not say.
        per_minute: cases edited in a minute in batches of :data:`BATCH`; None for slow settings.
    """

    seconds: float
    nfe: int
    memory_mb: float | None
    per_minute: float | None


def time_row(job: Job, row: Row, pairing: str = "paired", repeats: int = 3) -> Timing:
    """
    Time a row's edits of its first cases; nothing is stored.

    Args:
        repeats: edits of which the median is taken, for settings of up to :data:`LONG` evaluations.
    """
    with row_workflow(job, row, pairing) as workflow:
        parsed = workflow.parser.get_parsed_content  # type: ignore[union-attr]
        network, editor, device = parsed("evaluate#network").eval(), parsed("evaluate#editor"), parsed("device")
        prepare, data = parsed("evaluate#prepare_batch"), parsed("evaluate#dataset")

        def edit(count: int) -> float:
            cases = [data[k % len(data)] for k in range(count)]
            prior, _, _, facts = prepare(default_collate(cases), device)
            for key in ("cases", "requests", "truth"):  # for StoredEdits and controls
                facts.pop(key, None)
            started = time.perf_counter()
            editor(prior, network, **facts)
            if prior.is_cuda:
                torch.cuda.synchronize()
            return time.perf_counter() - started

        memory = PeakMemory(device)
        seconds = [edit(1)]
        peak = memory.stop()
        if editor.nfe <= LONG:  # the first one was the warm-up
            seconds = [edit(1) for _ in range(repeats)]
        per_minute = 60 * BATCH / edit(BATCH) if editor.nfe <= LONG else None
        return Timing(statistics.median(seconds), int(editor.nfe), peak, per_minute)


class PeakMemory:
    """Peak memory in MB above what was held when the object was made: of the GPU, else (Linux) of the process."""

    def __init__(self, device: str | torch.device) -> None:
        self.cuda = torch.device(device).type == "cuda"
        gc.collect()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before: float = torch.cuda.memory_allocated()
            return
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier rows left in the allocator is not this row's
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self.before = psutil.Process().memory_info().rss

    def stop(self) -> float | None:
        """MB; None where the system does not say."""
        if self.cuda:
            return (torch.cuda.max_memory_allocated() - self.before) / 2**20
        with suppress(OSError, StopIteration, ValueError):
            lines = Path("/proc/self/status").read_text().splitlines()
            peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
            return max(0.0, peak * 1024 - self.before) / 2**20
        return None


def start_up(repeats: int = 3) -> dict[str, float]:
    """Seconds of new processes (median): see :data:`STARTS`."""
    found = {}
    for name, words in STARTS.items():
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        found[name] = statistics.median(seconds)
    return found


def training_speed(bundle: str, batches: int = 6) -> dict[str, float]:
    """Training steps a second with the bundle's data pipeline, and of forward, backward and optimizer alone."""
    data, step = pipeline_overhead(bundle, batches)
    return {"steps_per_second": 1 / (data + step), "bare_steps_per_second": 1 / step}


def network_sizes(bundle: str | Path, networks: Mapping[str, Mapping[str, Any]], repeats: int = 10) -> list[dict]:
    """
    Parameters and milliseconds (median) of one evaluation of one 128 x 128 slice, for networks of several sizes.

    Args:
        networks: label → options of the bundle's ``inference.yaml``.
    """
    found: list[dict[str, Any]] = []
    for label, options in networks.items():
        network, device = bundle_content(bundle, ("network_def", "device"), **options)
        network = network.to(device).eval()
        x = torch.zeros(1, network.in_channels, 128, 128, device=device)
        t = torch.zeros(1, dtype=torch.long, device=device)
        seconds = []
        with torch.inference_mode():
            for _ in range(repeats + 1):
                started = time.perf_counter()
                network(x, timesteps=t)
                if x.is_cuda:
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - started)
        count = sum(p.numel() for p in network.parameters())
        found.append({"network": label, "parameters": count, "milliseconds": 1000 * statistics.median(seconds[1:])})
    return found

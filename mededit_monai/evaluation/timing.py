# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory of an edit, kept from one run to the next, and what else a user waits for."""

from __future__ import annotations

import ctypes
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import monai
import psutil
import torch
from torch.utils.data import default_collate

from mededit_monai.evaluation.rows import Row
from mededit_monai.evaluation.run_row import Job, row_workflow, say
from mededit_monai.io.atomic import write_json
from mededit_monai.io.hashing import sha256
from mededit_monai.methods.editor import Edit
from mededit_monai.workflows import bundle_content

#: Settings with more evaluations are timed once and not warmed up: their first call is a small part of them.
LONG = 100

#: Cases in the batch whose throughput is measured; a volume is a batch of its own.
BATCH = 16

#: Controls that are a way of editing, and take time as such.
TIMED = (None, "by_slice", "by_volume")

#: What a new process runs until it can edit, by the name in the report.
STARTS = {
    "import mededit_monai": ["-c", "import mededit_monai"],
    "mededit --help": ["-m", "mededit_monai.cli", "--help"],
    "import all that an edit needs": ["-c", "import mededit_monai.workflows, mededit_monai.handlers"],
}

#: What was timed, kept for the next run.
TIMES_FILE = "times.json"


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


def on_gpu(device: str | None) -> bool:
    """Whether edits are made on a GPU; None: where there is one."""
    return (device or ("cuda" if torch.cuda.is_available() else "cpu")).startswith("cuda")


def machine(device: str | None = None) -> dict[str, Any]:
    """What the times were taken on; no name of a host."""
    name = torch.cuda.get_device_name() if on_gpu(device) else "CPU"
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


class Timings:
    """
    Times of rows by their key; those of ``times.json`` that were taken on a machine like this one, of the same network,
    stand.

    Attributes:
        known: key → :class:`Timing`.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.place = job, job.output / TIMES_FILE
        self.machine = machine((job.options or {}).get("device"))
        self.known: dict[str, Timing] = {}
        self._settings: dict[str, str] = {}
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # none, or damaged
            content = json.loads(self.place.read_bytes())
            if content["machine"] == self.machine:
                settings = {key: entry.pop("settings") for key, entry in content["rows"].items()}
                self.known = {key: Timing(**entry) for key, entry in content["rows"].items()}
                self._settings = settings

    def take(self, row: Row) -> None:
        """Time a row, unless it is a control or was timed with the same settings, weights, bundle and cases."""
        overlays = [sha256(Path(file)) for file in self.job.overlays]
        of_job = {"bundle": self.job.root.name, "overlays": overlays, "triplets": sha256(self.job.triplets("paired"))}
        settings = json.dumps([row.facts(), of_job], sort_keys=True, default=str)
        if row.control not in TIMED or self._settings.get(row.key) == settings:
            return
        self.known[row.key], self._settings[row.key] = time_row(self.job, row), settings
        saved = {key: {"settings": self._settings[key], **asdict(timing)} for key, timing in self.known.items()}
        write_json(self.place, {"machine": self.machine, "rows": saved})


def timed(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[float, Any]:
    """How long a call takes, to its end on the GPU too, and what it gives."""
    started = time.perf_counter()
    found = work(*given, **named)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def time_row(job: Job, row: Row, pairing: str = "paired", repeats: int = 3) -> Timing:
    """
    Time a row's edits of its first cases; nothing is stored.

    Args:
        repeats: edits of which the median is taken, for settings of up to :data:`LONG` evaluations.
    """
    with row_workflow(job, row, pairing) as workflow:
        parsed = workflow.parser.get_parsed_content  # type: ignore[union-attr]
        network, editor, device = parsed("evaluate#network").eval(), parsed("evaluate#inferer").editor, parsed("device")
        prepare, data = parsed("evaluate#prepare_batch"), parsed("evaluate#dataset")
        batch = BATCH if parsed("evaluate#flat") else 1

        def edit(count: int) -> tuple[float, Edit]:
            cases = [data[k % len(data)] for k in range(count)]
            prior, _, _, facts = prepare(default_collate(cases), device)
            for key in ("cases", "requests", "truth", "true_displacement"):  # for StoredEdits and controls
                facts.pop(key, None)
            return timed(editor, prior, network, **facts)

        memory = PeakMemory(device)
        seconds, made = edit(1)
        peak, per_minute = memory.stop(), None
        if made.evaluations <= LONG:  # the first one was the warm-up
            seconds = statistics.median(edit(1)[0] for _ in range(repeats))
            per_minute = 60 * batch / (edit(batch)[0] if batch > 1 else seconds)
        return Timing(seconds, made.evaluations, peak, per_minute)


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


def speeds(bundle: str | Path, networks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    ``start_up``: seconds of new processes (medians), see :data:`STARTS`; ``training``: steps a second with the bundle's
    data pipeline, and of forward, backward and optimizer alone; ``networks``: see :func:`network_sizes`.
    """
    say("timing start-up, training and networks")
    starts = {}
    for name, words in STARTS.items():
        command = [sys.executable, *words]
        seconds = [timed(subprocess.run, command, check=True, capture_output=True)[0] for _ in range(3)]
        starts[name] = statistics.median(seconds)
    data, step = pipeline_overhead(str(bundle), batches=6)
    training = {"steps_per_second": 1 / (data + step), "bare_steps_per_second": 1 / step}
    return {"start_up": starts, "training": training, "networks": network_sizes(bundle, networks)}


def network_sizes(bundle: str | Path, networks: Mapping[str, Mapping[str, Any]], repeats: int = 10) -> list[dict]:
    """
    Parameters and milliseconds (median) of one evaluation of one 128 x 128 slice, for MedEdit's network in some sizes.

    Args:
        networks: label → options of the bundle's ``inference.yaml``.
    """
    found: list[dict[str, Any]] = []
    for label, options in networks.items():
        network, device = bundle_content(bundle, ("thesis_network_def", "device"), **options)
        network = network.to(device).eval()
        x = torch.zeros(1, network.in_channels, 128, 128, device=device)
        t = torch.zeros(1, dtype=torch.long, device=device)
        with torch.inference_mode():
            seconds = [timed(network, x, timesteps=t)[0] for _ in range(repeats + 1)]
        count = sum(p.numel() for p in network.parameters())
        found.append({"network": label, "parameters": count, "milliseconds": 1000 * statistics.median(seconds[1:])})
    return found


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
        return _overhead(batches, *bundle_content(bundle, names, config="train.yaml", **given))


def _overhead(
    batches: int, loader: Any, prepare: Any, inferer: Any, network: Any, loss: Any, optimizer: Any, device: Any
) -> tuple[float, float]:
    network.train()
    data, steps, source, batch = [], [], iter(loader), []

    def load() -> None:
        batch[:] = prepare(next(source), device)

    def step() -> None:
        image, target, _, keywords = batch
        optimizer.zero_grad()
        loss(inferer(image, network, **keywords), target).backward()
        optimizer.step()

    for _ in range(min(batches + 1, len(loader))):
        data.append(timed(load)[0])
        steps.append(timed(step)[0])
    return statistics.median(data[1:]), statistics.median(steps[1:])

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the tables of ``golden_runs`` in a tree and records the SHA-256 of what they write."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from studies.golden_inputs import write_inputs
from studies.golden_runs import SIMULATIONS, EditRun, TrainingRun, edit_runs, training_runs

#: Files of an edited case that are compared, wherever in its folder.
EDITED = ("edited.nii.gz", "edit_region.nii.gz", "mean.nii.gz", "sd.nii.gz")

#: Weights of a training: of its best epoch, which may be the first, and of its last.
WEIGHTS = ("model.pt", "model_last.pt")

#: Packages whose version can change a byte.
PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel", "nilearn")


class Recorder:
    """
    Collects the entries of a record.

    Args:
        tree: top of the tree that is recorded, which ``mededit_monai`` must have been imported from.
        work: empty folder for inputs and results.
        tell: takes one line about what is done.

    Attributes:
        entries: key → digest, or the options of a run. Keys: ``input/…``, ``options/…``, ``edits/…``, ``simulated/…``,
            ``trained/…``.
        failed: keys of the runs that raised.
    """

    def __init__(self, tree: Path, work: Path, tell: Callable[[str], None]) -> None:
        self.tree, self.work, self.tell = tree, work, tell
        self.inputs = work / "inputs"
        self.entries: dict[str, Any] = {}
        self.failed: list[str] = []
        write_inputs(self.inputs)
        for path in sorted(p for p in self.inputs.rglob("*") if p.is_file()):
            self.entries[f"input/{path.relative_to(self.inputs).as_posix()}"] = content_digest(path)

    def edits(self) -> None:
        """Every edit of :func:`golden_runs.edit_runs`."""
        runs = edit_runs()
        for number, run in enumerate(runs, 1):
            self._run(f"edits/{run.name}", number, len(runs), {"bundle": run.bundle, **run.options}, self._edit, run)

    def simulated(self) -> None:
        """Every cohort of :data:`golden_runs.SIMULATIONS`."""
        for number, (name, options) in enumerate(SIMULATIONS.items(), 1):
            self._run(f"simulated/{name}", number, len(SIMULATIONS), options, self._simulate, options)

    def trained(self) -> None:
        """Every training of :func:`golden_runs.training_runs`."""
        runs = training_runs()
        for number, run in enumerate(runs, 1):
            given = {"bundle": run.bundle, "overlays": run.overlays, **run.options}
            given |= {} if run.more is None else {"then": run.more}
            self._run(f"trained/{run.name}", number, len(runs), given, self._train, run)

    def _run(self, key: str, number: int, count: int, options: dict[str, Any], made: Callable, run: Any) -> None:
        """Do one run in a folder of its own and enter what it wrote; one that raises does not stop the others."""
        self.entries[f"options/{key}"] = options
        started, said = time.perf_counter(), io.StringIO()
        try:
            with tempfile.TemporaryDirectory(dir=self.work) as folder, redirect_stdout(said), redirect_stderr(said):
                digests = made(run, Path(folder) / "out")
                if not digests:
                    raise RuntimeError("wrote none of the files that are compared")
            self.entries |= {f"{key}/{name}": digest for name, digest in digests.items()}
            self.tell(f"{number}/{count} {key}: {len(digests)} files, {time.perf_counter() - started:.1f} s")
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {error}".replace(str(self.work), ".")
            self.entries[f"{key}/error"] = message
            self.failed.append(key)
            self.tell(f"{number}/{count} {key}: {message}\n{said.getvalue()[-2000:]}")

    def _edit(self, run: EditRun, out: Path) -> dict[str, str]:
        from mededit_monai import edit

        options = {name: self._input(value) for name, value in run.options.items()}
        edit(output_dir=out, bundle=run.bundle, **options)
        return digests_of(out, EDITED)

    def _input(self, value: Any) -> Any:
        """An option's value, or the path of an input where it names one."""
        is_file = isinstance(value, str) and value.endswith((".nii.gz", ".json"))
        return self.inputs / value if is_file else value

    def _simulate(self, options: dict[str, Any], out: Path) -> dict[str, str]:
        call_verb("simulate", options | {"output_dir": out})
        digests = digests_of(out, ("*.nii", "*.nii.gz"))
        listed = json.dumps(json.loads((out / "datalist.json").read_bytes()), sort_keys=True)
        return digests | {"datalist.json": digest(listed.replace(str(out), ".").encode())}

    def _train(self, run: TrainingRun, out: Path) -> dict[str, str]:
        data = {"bundle": run.bundle, "datalist": self.inputs / "training" / "datalist.json", "output_dir": out}
        overlays = [self.tree / overlay for overlay in run.overlays]
        for changes in ({}, *([] if run.more is None else [run.more])):
            call_verb("train", data | run.options | changes, overlays)
        return {name: weights_digest(out / name) for name in WEIGHTS}


def call_verb(verb: str, options: dict[str, Any], overlays: Sequence[Path] = ()) -> None:
    """``mededit VERB`` in this process: modules move, the command line stays, and MONAI is imported once."""
    from mededit_monai.cli import app

    words = [word for path in overlays for word in ("--config", str(path))]
    for name, value in options.items():
        words += [f"--{name}", str(value) if isinstance(value, (str, Path)) else json.dumps(value)]
    app([verb, *words, "--no_progress"], standalone_mode=False)


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 of a file, of the uncompressed bytes of a compressed one: compressors differ, what they hold must not."""
    content = path.read_bytes()
    return digest(gzip.decompress(content) if path.suffix == ".gz" else content)


def digests_of(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Path in the folder → digest, of the files with one of these names (or patterns)."""
    found = {path for name in names for path in folder.rglob(name)}
    return {path.relative_to(folder).as_posix(): content_digest(path) for path in sorted(found)}


def weights_digest(path: Path) -> str:
    """SHA-256 of the tensors of a weight file: name, type, shape and bytes. The file itself holds more than these."""
    import torch

    found = hashlib.sha256()
    for name, tensor in sorted(torch.load(path, map_location="cpu", weights_only=True).items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def environment() -> dict[str, str]:
    """What beside the tree can change a byte: versions, and the instructions that torch's kernels use."""
    import torch

    facts = {name: importlib.metadata.version(name) for name in PACKAGES}
    facts |= {"python": platform.python_version(), "machine": platform.machine()}
    return facts | {"cpu": torch.backends.cpu.get_cpu_capability(), "threads": str(torch.get_num_threads())}


def record(tree: Path, parts: Sequence[str], tell: Callable[[str], None]) -> tuple[dict[str, Any], list[str]]:
    """
    Record a tree.

    Args:
        tree: its top.
        parts: of :data:`golden_runs.PARTS`.
        tell: takes one line about what is done.

    Returns:
        the record, and the runs that raised.
    """
    with tempfile.TemporaryDirectory(prefix="golden_") as folder:
        work = Path(folder).resolve()
        os.environ["MEDEDIT_CACHE"] = str(work / "cache")  # neither the user's nor another tree's
        import_from(tree)
        recorder, seconds = Recorder(tree, work, tell), {}
        for part in parts:
            started = time.perf_counter()
            getattr(recorder, part)()
            seconds[part] = round(time.perf_counter() - started, 1)
    facts = {"parts": list(parts), "environment": environment(), "seconds": seconds}
    return facts | {"entries": dict(sorted(recorder.entries.items()))}, recorder.failed


def import_from(tree: Path) -> None:
    """
    Import the tree's ``mededit_monai``, whichever is installed, and have torch work on one thread.

    Raises:
        SystemExit: the package comes from elsewhere.
    """
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)  # of processes that the package starts
    import torch

    import mededit_monai

    found = Path(mededit_monai.__file__).resolve()
    if tree not in found.parents:
        raise SystemExit(f"golden: mededit_monai was imported from {found}, which is not in {tree}.")
    torch.set_num_threads(1)  # the sums of several threads come in any order

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit doctor`: whether this installation works, one line a question; nothing is written outside a temp folder."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mededit_monai.core.errors import find_input_error
from mededit_monai.core.loudness import loudness
from mededit_monai.core.paths import bundle_homes, default_cache
from mededit_monai.io.checksums import APART, UNDECLARED, weights_states

OK, WARNING, FAILED = "ok", "warning", "failed"

PACKAGES = (
    "mededit_monai",
    "torch",
    "monai",
    "nibabel",
    "SimpleITK",
    "deepbet",
    "numpy",
    "scipy",
    "pytorch-ignite",
    "nilearn",
)

#: Less free memory, and less free disk, than this many bytes is warned of: a volume takes about 2 GB.
MEMORY, DISK = 2 << 30, 1 << 30


@dataclass(frozen=True)
class Check:
    """
    What one question found.

    Args:
        name: what was asked; state: ``ok``, ``warning`` or ``failed``.
        said: for a reader; facts: for a program.
    """

    name: str
    state: str
    said: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.state:<8} {self.name}: {self.said}"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def examine() -> Iterator[Check]:
    """Ask all questions, one after the other; a question that cannot be answered has failed."""
    for name, ask in QUESTIONS.items():
        try:
            found = ask()
        except Exception as error:
            bad_input = find_input_error(error)
            found = FAILED, str(bad_input or f"{type(error).__name__}: {error}"), {}
        yield Check(name, *found)


Found = tuple[str, str, dict[str, Any]]


def _packages() -> Found:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    found["mededit_monai"] = found["mededit_monai"] or _own_version()
    missing = [name for name, number in found.items() if number is None]
    if missing:
        return FAILED, f"{', '.join(missing)} not installed; run pip install mededit_monai", {"versions": found}
    return OK, ", ".join(f"{name} {number}" for name, number in found.items()), {"versions": found}


def _own_version() -> str:
    from mededit_monai import __version__  # of a clone that is run without being installed

    return __version__


def _torch() -> Found:
    import torch

    facts = {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "cuda": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
    }
    devices = [*facts["cuda"], *(["Apple's GPU (mps)"] if facts["mps"] else [])]
    said = f"CPU with {facts['cpu_capability']}, {facts['threads']} threads on {facts['cores']} cores; "
    said += f"GPU: {', '.join(devices)}" if devices else "no GPU, the CPU is used"
    if facts["cpu_capability"] == "DEFAULT" and not devices and platform.machine() in ("x86_64", "AMD64"):
        return WARNING, f"{said}; without AVX2 edits are slow", facts
    return OK, said, facts


def _memory() -> Found:
    import psutil

    free = psutil.virtual_memory().available
    state, more = (OK, "") if free >= MEMORY else (WARNING, f"; volumes take about {_gb(MEMORY)}")
    return state, f"{_gb(free)} free{more}", {"free_bytes": free}


def _disk() -> Found:
    free = {name: shutil.disk_usage(_there(place)).free for name, place in _places().items()}
    state = OK if min(free.values()) >= DISK else WARNING
    said = ", ".join(f"{_gb(count)} free for {name}" for name, count in free.items())
    return state, said, {"free_bytes": free}


def _cache() -> Found:
    places = {name: place for name, place in _places().items() if name != "this folder"}
    closed = [str(place) for place in places.values() if not os.access(_there(place), os.W_OK | os.X_OK)]
    facts = {"folders": {name: str(place) for name, place in places.items()}}
    if closed:
        way = "change its permissions, or set MEDEDIT_CACHE (TMPDIR for temporary files)"
        return FAILED, f"{', '.join(closed)} cannot be written to; {way}", facts
    return OK, ", ".join(f"{name} {place}" for name, place in places.items()), facts


def _places() -> dict[str, Path]:
    return {"this folder": Path.cwd(), "the cache": default_cache(), "temporary files": Path(tempfile.gettempdir())}


def _there(place: Path) -> Path:
    """The folder itself, or the nearest one above it that exists, in which it would be made."""
    return next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())


def _gb(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"


def _weights() -> Found:
    package = Path(__file__).parent
    bundles = {p.name: p / "models" for home in bundle_homes() if home.is_dir() for p in sorted(home.iterdir())}
    bundles = {name: folder for name, folder in bundles.items() if (folder.parent / "configs").is_dir()}
    states = {name: weights_states(folder) for name, folder in bundles.items()}
    states["judges"] = weights_states(package / "judges" / "weights")
    wrong = [
        f"{name}/{file} {state}"
        for name, files in states.items()
        for file, state in files.items()
        if state not in (OK, APART)
    ]
    facts = {"weights": states}
    if not bundles:
        return FAILED, "no bundle found; install the package again", facts
    if wrong:
        undeclared = all(one.endswith(UNDECLARED) for one in wrong)
        way = "they are not those of this version" if undeclared else "install the package again"
        return (WARNING if undeclared else FAILED), f"{', '.join(wrong)}; {way}", facts
    return OK, ", ".join(f"{name} {_counted(files)}" for name, files in states.items()), facts


def _counted(states: Mapping[str, str]) -> str:
    """How many weight files there are, and how many a release holds."""
    apart = sum(state == APART for state in states.values())
    here = f"{len(states) - apart} files" if len(states) > apart else "none"
    return f"{here} ({apart} more in a release)" if apart else here


def _edit() -> Found:
    """A small head gets a lesion, through the same function that people call."""
    from mededit_monai.workflows import edit

    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mededit_doctor_") as name, loudness("quiet"):
        place = Path(name)
        scan, pathology = _small_head()
        for file, array in (("scan", scan), ("pathology", pathology)):
            nib.save(nib.Nifti1Image(array, np.diag([2.5, 2.5, 4.0, 1.0])), place / f"{file}.nii.gz")
        given = {"slice_index": "auto", "steps": 2, "progress": False}
        (folder,) = edit(place / "scan.nii.gz", place / "pathology.nii.gz", place / "out", **given)
        edited, region = (np.asarray(nib.load(folder / f"{file}.nii.gz").dataobj) for file in ("edited", "edit_region"))
        changed = edited != scan
    facts = {"seconds": round(time.perf_counter() - started, 2), "voxels_changed": int(changed.sum())}
    if not (changed & (pathology > 0)).any() or (changed & (region == 0)).any():
        return FAILED, "the edit is not where the lesion is; please report it", facts
    return OK, f"a lesion in a small head in {facts['seconds']:.1f} s; {facts['voxels_changed']} voxels changed", facts


def _small_head() -> tuple[np.ndarray, np.ndarray]:
    """A brain with two ventricles, int16, and a lesion beside one of them, uint8; voxels of 2.5 x 2.5 x 4 mm, RAS."""
    sides = (2.5, 2.5, 4.0)
    shape = (60, 72, 20)
    axes = [(np.arange(count) - (count - 1) / 2) * side for count, side in zip(shape, sides)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    brain = (x / 66) ** 2 + (y / 82) ** 2 + (z / 60) ** 2 < 1
    ventricles = (np.abs(x) - 14) ** 2 / 64 + (y / 26) ** 2 + (z / 24) ** 2 < 1
    lesion = (x - 38) ** 2 + (y + 8) ** 2 + z**2 < 14**2
    return np.where(brain, np.where(ventricles, 150, 650), 0).astype(np.int16), (lesion & brain).astype(np.uint8)


QUESTIONS: dict[str, Callable[[], Found]] = {
    "versions": _packages,
    "torch": _torch,
    "memory": _memory,
    "disk": _disk,
    "folders": _cache,
    "weights": _weights,
    "edit": _edit,
}

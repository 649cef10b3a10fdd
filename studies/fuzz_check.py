# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edit many generated cases in one run, and hold what came out to what is promised."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel as nib
import numpy as np

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.handlers import edit_previews
from studies.fuzz_heads import FAULTS, Spec, described, write

#: The slice with the most lesion, one network evaluation: the ways in and out are what is looked at.
QUICK = {"spatial_dims": 2, "slice_index": "auto", "steps": 1, "progress": False, "batch_size": 8}

#: What may be found: a fault of the program, something half written, a file outside the output folder that changed,
#: and whatever else breaks a promise about the result.
TRACEBACK, PARTIAL, OUTSIDE, PROMISE = (
    "traceback",
    "partial file",
    "changed outside the output folder",
    "broken promise",
)
KINDS = (TRACEBACK, PARTIAL, OUTSIDE, PROMISE)

#: The outcome of a case without a fault; what became of one with a fault is told with its kind.
EDITED = "edited"


@dataclass(frozen=True)
class Broken:
    """``what`` is wrong, of a ``kind`` of :data:`KINDS`, in the ``case`` of this number; None: in no single one."""

    kind: str
    what: str
    case: int | None = None


@dataclass
class Seen:
    """``outcomes`` of the cases by their number, and what is ``broken``."""

    outcomes: dict[int, str] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """How often each outcome was seen."""
        return Counter(self.outcomes.values())


def run_cases(cases: Sequence[Spec], place: Path, pictures: bool = True, first: int = 0) -> Seen:
    """
    Write cases, edit them as a datalist that keeps going, and look at every result.

    Args:
        place: empty folder; the current folder, the cache and temporary files of the run are in it, too.
        pictures: whether previews are drawn, which takes three quarters of the time.
        first: number of the first case.
    """
    seen, named = Seen(), {f"c{number:05d}": number for number in range(first, first + len(cases))}
    written = [write(spec, place / "in" / name) for spec, name in zip(cases, named)]
    datalist, out = place / "datalist.json", place / "out"
    datalist.write_text(json.dumps({"testing": [{"case_id": n, **files} for n, files in zip(named, written)]}))
    before = _digests(place)
    with _surroundings(place, pictures) as said:
        try:
            edit(datalist=datalist, output_dir=out, keep_going=True, **QUICK)
        except InputError:
            pass  # some failed, which failed.json tells
        except Exception as error:
            seen.broken.append(Broken(TRACEBACK, f"{type(error).__name__}: {error}"))
    failed = {one["case_id"]: one["failed"] for one in _json(out / "failed.json", [])}
    for spec, files, (name, number) in zip(cases, written, named.items()):
        seen.outcomes[number], found = _looked_at(spec, files, out / name, failed.get(name))
        seen.broken += [Broken(kind, f"{what}: {described(spec)}", number) for kind, what in found]
    _look_around(seen, place, before, named)
    strange = [line for line in said.getvalue().splitlines() if line.strip() and not line.startswith("mededit: ")]
    if strange:
        seen.broken.append(Broken(TRACEBACK, f"something else was said than sentences: {' / '.join(strange)[:1000]}"))
    return seen


@contextmanager
def _surroundings(place: Path, pictures: bool) -> Iterator[io.StringIO]:
    """Whatever the run writes elsewhere than asked lands in ``place``, and what it says in the text."""
    here, said = Path.cwd(), io.StringIO()
    for name in ("here", "temporary"):
        (place / name).mkdir()
    with contextlib.ExitStack() as stack:
        environment = {"MEDEDIT_CACHE": str(place / "cache"), "TMPDIR": str(place / "temporary")}
        stack.enter_context(mock.patch.dict(os.environ, environment))
        stack.enter_context(mock.patch("tempfile.tempdir", None))
        if not pictures:
            stack.enter_context(mock.patch.object(edit_previews, "save_preview", _no_preview))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of libraries: what a person is told is said in sentences
        stack.enter_context(contextlib.redirect_stderr(said))
        os.chdir(place / "here")
        stack.callback(os.chdir, here)
        yield said


def _no_preview(planes: Any, path: Path, title: str = "") -> None:
    path.write_bytes(b"")


def _looked_at(
    spec: Spec, files: dict[str, str], folder: Path, failed: str | None
) -> tuple[str, list[tuple[str, str]]]:
    """What became of a case, and what is wrong with that."""
    done = (folder / "edited.nii.gz").is_file()
    if done == (failed is not None):
        said = "is done and" if done else "is neither done nor"
        return "lost", [(PROMISE, f"{said} listed as failed")]
    if failed is None:
        outcome = EDITED if spec.fault is None else f"edited in spite of: {spec.fault}"
        return outcome, [(PROMISE, what) for what in _faults_of(folder, files)]
    outcome = "refused" if spec.fault is None else f"refused: {spec.fault}"
    return outcome, _bad_sentence(spec, failed)


def _bad_sentence(spec: Spec, sentence: str) -> list[tuple[str, str]]:
    if "a fault of the program" in sentence or "Traceback" in sentence:
        return [(TRACEBACK, f"ended in a fault ({sentence})")]
    if spec.fault is None:
        return [(PROMISE, f"was refused, and should be edited ({sentence})")]
    if sentence.count("\n") or len(sentence) > 1500:
        return [(PROMISE, f"was refused with more than a sentence ({sentence})")]
    fits = any(word in sentence for word in FAULTS[spec.fault])
    return [] if fits else [(PROMISE, f"says something else ({sentence})")]


def _faults_of(folder: Path, files: dict[str, str]) -> list[str]:
    """What of the result is not as promised: grid, type, slope, and every byte outside the region."""
    scan, edited = nib.load(files["scan"]), nib.load(folder / "edited.nii.gz")
    region = np.asarray(nib.load(folder / "edit_region.nii.gz").dataobj) > 0
    found = []
    if edited.shape != scan.shape or not np.array_equal(edited.affine, scan.affine):
        found.append("lies on another grid")
    if edited.get_data_dtype() != scan.get_data_dtype():
        found.append(f"is {edited.get_data_dtype()}, not {scan.get_data_dtype()}")
    if (edited.dataobj.slope, edited.dataobj.inter) != (scan.dataobj.slope, scan.dataobj.inter):
        found.append("has another slope")
    stored = [np.asarray(image.dataobj.get_unscaled()) for image in (scan, edited)]
    if stored[0].shape == stored[1].shape:
        outside = ~region.reshape(stored[0].shape)
        if not np.array_equal(stored[0][outside], stored[1][outside]):
            found.append("changed outside its region")
    if not np.isfinite(np.asarray(edited.dataobj, np.float64)).all():
        found.append("holds NaN or infinite voxels")
    if b"synthetic" not in edited.header["descrip"].tobytes():
        found.append("does not say that it is synthetic")
    if _json(folder / "provenance.json", {}).get("synthetic") is not True:
        found.append("has no provenance")
    return found


def _look_around(seen: Seen, place: Path, before: dict[str, str], named: dict[str, int]) -> None:
    """Files that are half written, and those outside the output folder that changed, came or went."""
    after = _digests(place, but="out")
    for path in sorted({*before, *after}):
        if before.get(path) == after.get(path):
            continue
        kind = TRACEBACK if path.startswith("cache/faults/") else OUTSIDE
        seen.broken.append(Broken(kind, f"{path} changed, came or went", _case_of(path, named)))
    for path in sorted((place / "out").rglob("*")):
        name = path.relative_to(place).as_posix()
        if "unfinished" in name or path.name == ".mededit.runs":
            seen.broken.append(Broken(PARTIAL, f"{name} is half written", _case_of(name, named)))


def _case_of(path: str, named: dict[str, int]) -> int | None:
    return next((named[part] for part in path.replace(".", "/").split("/") if part in named), None)


def _digests(place: Path, but: str = "") -> dict[str, str]:
    """SHA-1 of every file in a folder, without those below ``but``."""
    found = {}
    for top, folders, names in os.walk(place):
        if but and Path(top) == place:
            folders[:] = [name for name in folders if name != but]
        for path in (Path(top, name) for name in names):
            found[path.relative_to(place).as_posix()] = hashlib.sha1(path.read_bytes()).hexdigest()
    return found


def _json(path: Path, absent: Any) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else absent

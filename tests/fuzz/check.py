# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edit many generated cases in one run, and hold what came out to what is promised."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
from fuzz.heads import FAULTS, Spec, described, write

from mededit_monai import edit
from mededit_monai.core.errors import InputError

#: The slice with the most lesion, one network evaluation: the ways in and out are what is looked at.
QUICK = {"spatial_dims": 2, "slice_index": "auto", "steps": 1, "progress": False, "batch_size": 8}


def run_cases(cases: Sequence[Spec], place: Path) -> tuple[Counter[str], list[str]]:
    """
    Write cases, edit them as a datalist that keeps going, and look at every result.

    Returns:
        how often each outcome was seen, and what broke a promise, a line each.
    """
    written = [write(spec, place / "in" / f"{number:04d}") for number, spec in enumerate(cases)]
    listed = [{"case_id": f"c{number:04d}", **files} for number, files in enumerate(written)]
    (place / "datalist.json").write_text(json.dumps({"testing": listed}))
    before, out, broken = _digests(place), place / "out", []
    with suppress(InputError):  # some failed, which failed.json tells
        edit(datalist=place / "datalist.json", output_dir=out, keep_going=True, **QUICK)
    failed = {one["case_id"]: one["failed"] for one in _json(out / "failed.json", [])}
    outcomes: Counter[str] = Counter()
    for number, (spec, files) in enumerate(zip(cases, written)):
        name = f"c{number:04d}"
        done = (out / name / "edited.nii.gz").is_file()
        if done == (name in failed):
            broken.append(
                f"{name}: {'is done and' if done else 'is neither done nor'} listed as failed: {described(spec)}"
            )
        elif done:
            broken += [f"{name}: {what}: {described(spec)}" for what in _faults_of(out / name, files)]
            outcomes["edited" if spec.fault is None else f"edited in spite of: {spec.fault}"] += 1
        else:
            outcomes["refused" if spec.fault is None else f"refused: {spec.fault}"] += 1
            broken += [f"{name}: {what}: {described(spec)}" for what in _bad_sentence(spec, failed[name])]
    after = _digests(place)
    if before != {path: digest for path, digest in after.items() if not path.startswith("out/")}:
        broken.append("files outside the output folder changed")
    broken += [f"{path}: is half written" for path in after if "unfinished" in path]
    return outcomes, broken


def _bad_sentence(spec: Spec, sentence: str) -> list[str]:
    if spec.fault is None:
        return [f"was refused, and should be edited ({sentence})"]
    if sentence.count("\n") or len(sentence) > 1500 or "Traceback" in sentence:
        return [f"was refused with more than a sentence ({sentence})"]
    return [] if any(word in sentence for word in FAULTS[spec.fault]) else [f"says something else ({sentence})"]


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


def _digests(place: Path) -> dict[str, str]:
    files = (path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): hashlib.sha1(path.read_bytes()).hexdigest() for path in files}


def _json(path: Path, absent):
    return json.loads(path.read_bytes()) if path.is_file() else absent

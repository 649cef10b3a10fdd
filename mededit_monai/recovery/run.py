# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit recovery`: put lesions into scans, let a segmenter look for them, and score what it found."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mededit_monai import workflows
from mededit_monai.core.errors import InputError, SomeFailed, say
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import (
    BINARY,
    TUMOR_LABELS,
    NativeCopy,
    Volume,
    binary_mask,
    read_array,
    read_volume,
    save_synthetic,
)
from mededit_monai.io.outputs import OutputFolder, make_folder, require_outside
from mededit_monai.io.provenance import DISCLAIMER, PROVENANCE_FILE, versions
from mededit_monai.prepare.extract import found_brain
from mededit_monai.prepare.one_by_one import failed_case
from mededit_monai.recovery.cases import Insertion, insertions
from mededit_monai.recovery.options import RecoveryOptions
from mededit_monai.recovery.report import FILES, report_files
from mededit_monai.recovery.score import score_case, score_unedited, summary
from mededit_monai.recovery.segmenters import Segmenter, segmenter_of

#: Raise it whenever the same request gives another result.
RUN_VERSION = 3

EDITS, FOUND, CASES = "edits", "found", "cases"


def recovery(options: RecoveryOptions) -> Path:
    """
    Make the counterfactuals (``edits``), segment them and the scans themselves (``found``), and write
    ``recovery.json``, ``recovery.csv``, ``recovery.md`` and ``recovery.png``.

    Run again it goes on: edits are kept as ``mededit edit`` keeps them, segmentations by the bytes of their image and
    brain mask, the segmenter's command, and what its labels mean.

    Returns:
        ``recovery.json``.

    Raises:
        InputError: bad input, or not one case could be scored.
        SomeFailed: at the end, if any case failed; the others are scored.
    """
    output, scans = user_path(options.output_dir), user_path(options.scans or "")
    if scans.is_dir():
        require_outside(output, scans, "the scans")
    disease = bundle_disease(str(bundle_root(options.bundle)))
    inserted = insertions(options)
    segmenter = segmenter_of(options, disease)
    names = [f"{CASES}/{name}.json" for name in _names(inserted)] + [f"{FOUND}/{n}.nii.gz" for n in _names(inserted)]
    OutputFolder(output).require_free([*FILES, *names])  # before hours of editing
    with held_folder(output, [*FILES, *names], [one.scan for one in inserted]) as folder:
        failed = _edited(options, inserted, output / EDITS)
        scored = _Scored(folder, segmenter, disease)
        lines, unedited = scored.all(inserted, {one["case_id"] for one in failed}, options.progress)
        failed += scored.failed
        if not lines:
            raise InputError(f"{failed[0]['failed']} None of the {len(inserted)} cases could be scored.")
        content = {
            "note": DISCLAIMER,
            "synthetic": True,
            "disease": disease,
            "segmenter": segmenter.name,
            "asked": list(options.asked()),
            "seed": options.seed,
            "scans": len({one.scan_id for one in inserted}),
            "patients": len({one.patient for one in inserted}),
            **summary(lines, unedited),
            "failed": failed,
            "versions": versions(),
            "cases": lines,
            "unedited_scans": unedited,
        }
        folder.write({"recovery.json": json_bytes(content)} | report_files(content))
    if failed:
        for one in failed:
            say(f"{one['case_id']}: {one['failed']}", error=True)
        written = [output / EDITS / one["case_id"] for one in lines]
        raise SomeFailed(written, failed, 0, output / "recovery.json")
    return output / "recovery.json"


def _names(inserted: Sequence[Insertion]) -> list[str]:
    """Of everything that is segmented."""
    return [*(one.case_id for one in inserted), *dict.fromkeys(_unedited(one) for one in inserted)]


def _unedited(one: Insertion) -> str:
    return f"{one.scan_id}_unedited"


def _edited(options: RecoveryOptions, inserted: Sequence[Insertion], edits: Path) -> list[dict[str, str]]:
    """Make the counterfactuals that are not there yet; those that failed."""
    more = {name: getattr(options, name) for name in ("spatial_dims", "device")}
    try:
        workflows.edit(
            datalist=[one.entry for one in inserted],
            output_dir=edits,
            bundle=options.bundle,
            seed=options.seed,
            progress=options.progress,
            **{name: value for name, value in more.items() if value is not None},
        )
    except SomeFailed as some:
        return [dict(one) for one in some.failed]
    return []


class _Scored:
    """
    Segments and scores, or finds what was done before.

    Args:
        folder: of the run; segmenter: who looks; disease: its name.

    Attributes:
        failed: ``case_id`` and ``failed``, a sentence.
    """

    def __init__(self, folder: OutputFolder, segmenter: Segmenter, disease: str) -> None:
        self.folder, self.segmenter, self.disease = folder, segmenter, DISEASES[disease]
        self.failed: list[dict[str, str]] = []
        for name in (FOUND, CASES):
            make_folder(folder.path / name)

    def all(
        self, inserted: Sequence[Insertion], left_out: set[str], progress: bool
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Lines of the counterfactuals, and of the scans before."""
        unedited: dict[str, dict[str, Any]] = {}
        for one in tqdm(inserted, desc="segmenting", disable=not progress):
            if one.case_id in left_out:
                continue
            name = _unedited(one)
            if name not in unedited and name not in {each["case_id"] for each in self.failed}:
                found = self._tried(name, lambda one=one, name=name: self._scan_line(one, name))
                unedited |= {} if found is None else {name: found}
        lines = (
            self._tried(one.case_id, lambda one=one: self._case_line(one, _unedited(one) in unedited))
            for one in tqdm(inserted, desc="scoring", disable=not progress)
            if one.case_id not in left_out
        )
        return [line for line in lines if line is not None], list(unedited.values())

    def _tried(self, name: str, line: Any) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = line()
            return found
        except Exception as error:  # one case does not stop the others
            self.failed.append(failed_case(name, error))
            return None

    def _scan_line(self, one: Insertion, name: str) -> dict[str, Any]:
        brain = self._brain(one, self._facts(one))
        request = self._request({"scan": one.scan, "brain": brain})
        if (known := self._known(name, request)) is not None:
            return known
        scan = read_volume(one.scan)
        found = self.segmenter(scan, brain)
        return self._keep(name, one, request, found, scan, score_unedited(found, scan.spacing))

    def _case_line(self, one: Insertion, with_scan: bool) -> dict[str, Any]:
        edit, facts = self.folder.path / EDITS / one.case_id, self._facts(one)
        before = self.folder.path / FOUND / f"{_unedited(one)}.nii.gz" if with_scan else None
        files, brain = {"image": edit / facts["edited"], "lesion": self._lesion(one, facts)}, self._brain(one, facts)
        if before is not None and self.segmenter.ventricles:
            files["before"] = before
        request = self._request(files | {"brain": brain})
        if (known := self._known(one.case_id, request)) is not None:
            return known
        image = read_volume(files["image"])
        found = self.segmenter(image, brain)
        lesion = self._inserted(one, files["lesion"], brain)
        if (edit / "edited_slice.nii.gz").is_file():
            lesion = lesion & np.isin(np.arange(lesion.shape[2]), facts["slices"])
        stored = [NativeCopy.to_native(array, image) for array in (found, lesion)]
        moved, place = None, edit / "displacement.nii.gz"
        if "before" in files:
            moved = read_along_axes(str(place), 3) if place.is_file() else None
        earlier = read_array(files["before"]).astype(np.uint8) if "before" in files else None
        spacing = np.linalg.norm(image.native_affine[:3, :3], axis=0)
        line = score_case(*stored, [float(mm) for mm in spacing], self.disease, earlier, moved)
        return self._keep(one.case_id, one, request, found, image, line)

    def _facts(self, one: Insertion) -> dict[str, Any]:
        """Of the edit."""
        place = self.folder.path / EDITS / one.case_id / PROVENANCE_FILE
        facts: dict[str, Any] = json.loads(place.read_bytes())
        return facts

    def _lesion(self, one: Insertion, facts: Mapping[str, Any]) -> Path:
        own = self.folder.path / EDITS / one.case_id / "pathology.nii.gz"
        return own if own.is_file() else Path(facts["files"]["pathology"])

    def _inserted(self, one: Insertion, place: Path, brain: Path | None) -> np.ndarray:
        """What the edit put in: it leaves out of a mask that was given what lies outside the brain."""
        lesion = binary_mask(read_volume(place), (*BINARY, *TUMOR_LABELS))
        if place.parent == self.folder.path / EDITS / one.case_id:  # the edit's own
            return lesion
        within = found_brain(read_volume(one.scan), False)[0] if brain is None else binary_mask(read_volume(brain))
        return lesion & within

    def _brain(self, one: Insertion, facts: Mapping[str, Any]) -> Path | None:
        """The mask that the edit used, if it is a file."""
        found = self.folder.path / EDITS / one.case_id / "prepare" / "brain.nii.gz"
        given = facts["files"].get("brain")
        return found if found.is_file() else Path(given) if given else None

    def _request(self, files: Mapping[str, Path | None]) -> dict[str, Any]:
        """All that decides a line: who looks, what the labels mean, and the bytes of the files there are."""
        labels = {name: list(getattr(self.segmenter, name, ())) for name in ("lesion", "ventricle")}
        inputs = {name: image_sha256(path) for name, path in files.items() if path is not None}
        return {"version": RUN_VERSION, "segmenter": self.segmenter.name, "labels": labels, "inputs": inputs}

    def _known(self, name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """A line that was found before by the same request."""
        try:
            content = json.loads((self.folder.path / CASES / f"{name}.json").read_bytes())
            same = content["request"] == request and (self.folder.path / FOUND / f"{name}.nii.gz").is_file()
            return dict(content["line"]) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(
        self, name: str, one: Insertion, request: Mapping[str, Any], found: np.ndarray, on: Volume, line: dict[str, Any]
    ) -> dict[str, Any]:
        line = {"case_id": name, "scan_id": one.scan_id, "patient": one.patient, **line}
        with tempfile.TemporaryDirectory(prefix="mededit_recovery_") as aside:
            place = Path(aside, "found.nii.gz")
            save_synthetic(NativeCopy.to_native(found, on), on.native_affine, place)
            mask = place.read_bytes()
        self.folder.write({f"{FOUND}/{name}.nii.gz": mask})
        self.folder.write({f"{CASES}/{name}.json": json_bytes({"request": request, "line": line})})
        return line

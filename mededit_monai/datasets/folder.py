# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Your own data: a folder of BIDS derivatives, or a table of files."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from mededit_monai.datasets.sources import Listing, SourceVolume, find_brain, nifti_files
from mededit_monai.errors import InputError

COLUMNS = ("case_id", "patient", "image", "pathology")

_NAME = re.compile(r"(?P<entities>sub-[A-Za-z0-9]+_(?:[a-z]+-[A-Za-z0-9]+_)*)(?P<suffix>T1w|mask|dseg|roi)\.nii(\.gz)?")

#: Entities that tell one scan of a subject from another; a mask may leave some out.
_MATCHED = ("sub", "ses", "acq", "run", "space")


@dataclass(frozen=True)
class _File:
    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def desc(self) -> str:
        return self.entities.get("desc", "")

    @property
    def key(self) -> tuple[str | None, ...]:
        return tuple(self.entities.get(name) for name in _MATCHED)

    def goes_with(self, scan: _File) -> bool:
        return all(mine is None or mine == its for mine, its in zip(self.key, scan.key))


def find_folder(root: str | Path, brains: str | None = None, disease: str = "stroke") -> Listing:
    """
    List the scans of a table or of a folder of BIDS derivatives.

    A table is a CSV file with the columns ``case_id``, ``patient``, ``image``, ``pathology`` and perhaps ``brain``;
    paths are relative to it. An empty ``pathology`` says that the scan shows no lesion. In a folder, ``cases.csv`` is
    that table; else scans are ``sub-…_T1w`` (``…_ce-gadolinium_T1w`` first for tumours), lesions ``…_label-L_…_mask``,
    ``…_desc-lesion_mask`` or such (for tumours a ``_dseg`` with regions first), brain masks ``…_desc-brain_mask``.
    ``…_desc-lesionfree_T1w``, as ``mededit simulate`` writes it, is a scan without lesion.

    Args:
        root: CSV file or folder.
        brains: where brain masks are, if not there; see :func:`~mededit_monai.datasets.sources.find_brain`.
        disease: stroke or tumor.

    Raises:
        InputError: if there is no such table or folder, the table lacks a column, or nothing is found.
    """
    root = Path(root)
    table = root if root.suffix.lower() == ".csv" else root / "cases.csv"
    if table.is_file() or table == root:
        return _table(table, brains)
    return _derivatives(root, brains, disease)


def _table(path: Path, brains: str | None) -> Listing:
    if not path.is_file():
        raise InputError(f"{path}: not found; give a CSV file with the columns {', '.join(COLUMNS)} with --root.")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "none"
            raise InputError(
                f"{path}: lacks the columns {', '.join(missing)} (found: {found}); name them in the first line."
            )
        rows = list(reader)
    listing, patients = Listing(), {}
    for number, row in enumerate(rows, start=2):
        name = (row["case_id"] or "").strip()
        if not name or name.startswith(".") or set(name) & set("/\\"):
            raise InputError(f"{path}: line {number} has case_id '{name}', wanted a name without slash or leading dot.")
        if not row["patient"] or not row["image"]:
            raise InputError(f"{path}: line {number} ('{name}') has no patient or no image; fill in both.")
        files = {k: path.parent / row[k] if row.get(k) else None for k in ("image", "pathology", "brain")}
        absent = [str(file) for file in files.values() if file is not None and not file.is_file()]
        if absent:
            listing.add_problem(name, f"{absent[0]}: not found (line {number} of {path}); correct the path.")
            continue
        scan = files["image"]
        other = patients.setdefault(scan.resolve(), row["patient"])
        if other != row["patient"]:
            listing.add_problem(
                name, f"{scan}: belongs to patients '{other}' and '{row['patient']}' in {path}; list it once."
            )
            continue
        brain = files["brain"] or _brain_by_name(scan, path.parent, brains)
        listing.volumes.append(SourceVolume(name, row["patient"], scan, files["pathology"], None, brain))
    return listing.settle(path, "in the column image")


def _brain_by_name(scan: Path, root: Path, brains: str | None) -> Path | None:
    inside = root in scan.parents  # a table may point anywhere; then only the name can be looked for
    return find_brain(scan, root if inside else scan.parent, brains)


def _derivatives(root: Path, brains: str | None, disease: str) -> Listing:
    files = [
        _File(path, *_parsed(match)) for path in nifti_files(root, "scans") if (match := _NAME.fullmatch(path.name))
    ]
    masks = [file for file in files if file.suffix != "T1w"]
    of_subject: dict[str, list[_File]] = {}
    for mask in masks:
        of_subject.setdefault(mask.entities["sub"], []).append(mask)
    listing = Listing()
    for scan in _scans([file for file in files if file.suffix == "T1w"], disease):
        free = scan.desc.startswith("lesionfree")
        name = "_".join(f"{k}-{v}" for k, v in scan.entities.items() if k != "ce")
        own = [mask for mask in of_subject.get(scan.entities["sub"], ()) if mask.goes_with(scan)]
        brain = [m for m in own if m.suffix == "mask" and m.desc == ("lesionfreebrain" if free else "brain")]
        brain_path = brain[0].path if brain else find_brain(scan.path, root, brains)
        patient = f"sub-{scan.entities['sub']}"
        if free:
            listing.volumes.append(SourceVolume(name, patient, scan.path, None, False, brain_path))
            continue
        lesions = [mask for mask in own if _is_lesion(mask)]
        regions = [mask for mask in lesions if mask.suffix == "dseg"] if disease == "tumor" else []
        lesions = regions or [mask for mask in lesions if mask.suffix != "dseg"]
        if len(lesions) == 1:
            labelled = True if regions else None if disease == "tumor" else False
            listing.volumes.append(SourceVolume(name, patient, scan.path, lesions[0].path, labelled, brain_path))
        elif lesions:
            found = ", ".join(mask.path.name for mask in lesions)
            listing.add_problem(
                name,
                f"{scan.path}: has {len(lesions)} lesion masks ({found}), wanted one; name the right one in a CSV.",
            )
        else:
            listing.add_problem(
                name,
                f"{scan.path}: has no lesion mask, wanted {patient}_…_label-L_mask.nii.gz; list scans without lesion "
                f"in a CSV, with an empty pathology.",
            )
    return listing.settle(root, "sub-…_T1w.nii.gz, and no cases.csv")


def _parsed(match: re.Match) -> tuple[dict[str, str], str]:
    pairs = (part.split("-", 1) for part in match["entities"].rstrip("_").split("_"))
    return {key: value for key, value in pairs}, match["suffix"]


def _scans(scans: list[_File], disease: str) -> list[_File]:
    """Of scans with and without contrast agent of the same session: those that fit the disease."""
    groups: dict[tuple, list[_File]] = {}
    for scan in scans:
        groups.setdefault((*scan.key, scan.desc), []).append(scan)
    chosen = []
    for group in groups.values():
        fitting = [scan for scan in group if ("ce" in scan.entities) == (disease == "tumor")]
        chosen += fitting or group
    return chosen


def _is_lesion(mask: _File) -> bool:
    desc, label = mask.desc.lower(), mask.entities.get("label", "").lower()
    if "brain" in desc or "ventricle" in desc or desc.startswith("lesionfree"):
        return False
    named = any(word in desc or word in label for word in ("lesion", "tumor", "tumour", "stroke", "infarct"))
    return named or label == "l" or mask.suffix == "roi"

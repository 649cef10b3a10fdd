# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Your own data: a folder of BIDS derivatives, or a table of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.bids import BidsFile, nearest_scans, owners, parse_name
from mededit_monai.datasets.sources import Listing, SourceVolume, find_brain, nifti_files
from mededit_monai.diseases import DISEASES
from mededit_monai.io.formats.registry import is_there
from mededit_monai.io.tables import read_table

COLUMNS = ("case_id", "patient", "image", "pathology")
_MASK_COLUMNS = ("pathology", "brain")

#: Endings of tables; a workbook is refused with a word.
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods")


def find_folder(root: str | Path, brains: str | None = None, disease: str = "stroke") -> Listing:
    """
    List the scans of a table or of a folder of BIDS derivatives.

    A table is a CSV file with the columns ``case_id``, ``patient``, ``image``, ``pathology`` and perhaps ``brain``;
    paths are relative to it. An empty ``pathology`` says that the scan shows no lesion. In a folder, ``cases.csv`` is
    that table; else scans are ``sub-…_T1w`` (``…_ce-gadolinium_T1w`` first for tumours), lesions ``…_label-L_…_mask``,
    ``…_T1w_label-lesion_roi`` or such (for tumours a ``_dseg`` with regions first), brain masks ``…_desc-brain_mask``;
    see :mod:`~mededit_monai.datasets.bids`. ``…_desc-lesionfree_T1w``, as ``mededit simulate`` writes it, is a scan
    without lesion.

    Args:
        root: CSV file or folder.
        brains: where brain masks are, if not there; see :func:`~mededit_monai.datasets.sources.find_brain`.
        disease: stroke or tumor.

    Raises:
        InputError: if there is no such table or folder, the table cannot be read or lacks a column, or none is found.
    """
    table = table_of(root)
    return _derivatives(user_path(root), brains, disease) if table is None else _table(table, brains)


def table_of(root: str | Path) -> Path | None:
    """The table that a root is or holds, which may be missing; None for a folder of BIDS derivatives."""
    root = user_path(root)
    if root.is_file() or (root.suffix.lower() in _TABLES and not root.is_dir()):
        return root
    return root / "cases.csv" if (root / "cases.csv").is_file() else None


def _table(path: Path, brains: str | None) -> Listing:
    if not path.is_file():
        raise InputError(f"{path}: not found; give a CSV file with the columns {', '.join(COLUMNS)} with --root.")
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        found = ", ".join(table.columns) or "none"
        raise InputError(
            f"{path}: lacks the columns {', '.join(missing)} (found: {found}); name them in the first line."
        )
    listing, patients = Listing(), {}
    for number, row in table.rows:
        name = row["case_id"]
        if not name or name.startswith(".") or set(name) & set("/\\"):
            raise InputError(f"{path}: line {number} has case_id '{name}', wanted a name without slash or leading dot.")
        if not row["patient"] or not row["image"]:
            raise InputError(f"{path}: line {number} ('{name}') has no patient or no image; fill in both.")
        files = {k: path.parent / user_path(row[k]) if row.get(k) else None for k in ("image", *_MASK_COLUMNS)}
        absent = [str(file) for file in files.values() if file is not None and not is_there(file)]
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
    of_subject: dict[str, list[BidsFile]] = {}
    for path in nifti_files(root, "scans"):
        file = parse_name(path)
        if file is not None:
            of_subject.setdefault(file.entities["sub"], []).append(file)
    listing = Listing()
    for files in of_subject.values():
        scans = _scans([file for file in files if file.is_scan], disease)
        brain_masks = [file for file in files if file.is_brain]
        for free in (scan for scan in scans if scan.is_free):
            brain = _brain(free, scans, brain_masks, root, brains)
            listing.volumes.append(SourceVolume(_name(free), _patient(free), free.path, None, False, brain))
        sick = [scan for scan in scans if not scan.is_free]
        lesions = [file for file in files if file.is_lesion and (DISEASES[disease].labels or file.suffix != "dseg")]
        own = _lesions_of(sick, lesions, listing)
        for scan in (scan for scan in sick if scan.path in own):
            brain = _brain(scan, scans, brain_masks, root, brains)
            _list_scan(listing, scan, own, sick, brain, disease)
    return listing.settle(root, "sub-…_T1w.nii.gz, and no cases.csv")


def _lesions_of(scans: Sequence[BidsFile], lesions: Sequence[BidsFile], listing: Listing) -> dict[Path, list[BidsFile]]:
    """Masks of every scan, perhaps none; scans that share a mask and cannot be told apart are noted and left out."""
    own: dict[Path, list[BidsFile]] = {scan.path: [] for scan in scans}
    unclear: set[Path] = set()
    for mask in lesions:
        found = owners(mask, scans)
        if len({scan.path.name for scan in found}) < 2:
            for scan in found:
                own[scan.path].append(mask)
            continue
        unclear |= {scan.path for scan in found}
        names = " or ".join(sorted((scan.path.name for scan in found), key=len))
        listing.add_problem(
            min((_name(scan) for scan in found), key=len),
            f"{mask.path}: can belong to {names}, wanted one scan; name the right one in a CSV.",
        )
    return {path: masks for path, masks in own.items() if path not in unclear}


def _list_scan(
    listing: Listing,
    scan: BidsFile,
    own: dict[Path, list[BidsFile]],
    scans: Sequence[BidsFile],
    brain: Path | None,
    disease: str,
) -> None:
    """Note a scan with its lesion mask, or why it cannot be used."""
    name, patient = _name(scan), _patient(scan)
    left_out = [max(mask.left_out(scan), 0) for mask in own[scan.path]]
    lesions = [mask for mask, missing in zip(own[scan.path], left_out) if missing == min(left_out)]
    lesions = [mask for mask in lesions if mask.names_lesion] or lesions
    regions = [mask for mask in lesions if mask.suffix == "dseg"] if DISEASES[disease].labels else []
    lesions = regions or lesions
    others = (other for other in scans if other is not scan and own.get(other.path) != [])
    other = next((s for s in others if scan.is_version_of(s) or s.is_version_of(scan)), None)
    if len(lesions) == 1:
        labelled = True if regions else None if DISEASES[disease].labels else False
        listing.volumes.append(SourceVolume(name, patient, scan.path, lesions[0].path, labelled, brain))
    elif lesions:
        found = ", ".join(mask.path.name for mask in lesions)
        listing.add_problem(
            name,
            f"{scan.path}: has {len(lesions)} lesion masks ({found}), wanted one; name the right one in a CSV.",
        )
    elif other is not None:
        listing.ignored[name] = f"is another version of {other.path.name}, to which the lesion mask belongs"
    else:
        listing.add_problem(
            name,
            f"{scan.path}: has no lesion mask, wanted {patient}_…_label-L_mask.nii.gz; list scans without lesion "
            f"in a CSV, with an empty pathology.",
        )


def _brain(
    scan: BidsFile, scans: Sequence[BidsFile], masks: Sequence[BidsFile], root: Path, brains: str | None
) -> Path | None:
    """The brain mask that names the scan most closely; of several the one in its folder, then BIDS's own name."""
    alike = [other for other in scans if other.is_free == scan.is_free]
    own = [mask for mask in masks if mask.is_free == scan.is_free and scan in nearest_scans(mask, alike)]
    if not own:
        return find_brain(scan.path, root, brains)
    return min(
        (max(mask.left_out(scan), 0), mask.path.parent != scan.path.parent, not mask.desc.endswith("brain"), mask.path)
        for mask in own
    )[-1]


def _name(scan: BidsFile) -> str:
    return "_".join(f"{key}-{value}" for key, value in scan.entities.items() if key != "ce")


def _patient(scan: BidsFile) -> str:
    return f"sub-{scan.entities['sub']}"


def _scans(scans: Sequence[BidsFile], disease: str) -> list[BidsFile]:
    """Of scans with and without contrast agent of the same session: those that fit the disease."""
    groups: dict[tuple, list[BidsFile]] = {}
    for scan in scans:
        groups.setdefault((*scan.key, scan.desc), []).append(scan)
    chosen = []
    for group in groups.values():
        fitting = [scan for scan in group if ("ce" in scan.entities) == DISEASES[disease].gadolinium]
        chosen += fitting or group
    return chosen

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page about an edit, ``viewer.html``: made from what the edit's folder holds, and the scan that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from mededit_monai.core.errors import InputError, SomeFailed, say
from mededit_monai.datasets.editing import EditingCases, require_any
from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.claims import exclusive
from mededit_monai.io.displacement import read_displacement
from mededit_monai.io.formats.registry import image_sha256, is_there
from mededit_monai.io.nifti import BINARY, TUMOR_LABELS, Volume, binary_mask, read_echo, read_volume
from mededit_monai.io.outputs import MARKER, OutputFolder, require_apart
from mededit_monai.io.provenance import PROVENANCE_FILE
from mededit_monai.prepare.one_by_one import failed_case
from mededit_monai.reports.view_facts import facts_of
from mededit_monai.reports.view_page import viewer_page
from mededit_monai.reports.view_volumes import ViewCase, ViewStep

VIEWER_FILE = "viewer.html"

#: Folders of a case's samples or of the steps of its course; copies of them have other names.
_STEP = re.compile(r"(course|sample)_[0-9]+")


def case_folders(folder: str | Path) -> list[Path]:
    """
    The results to look at: the folder itself, or those in it.

    Raises:
        InputError: neither is the folder of a case that mededit edited, nor does it hold any.
    """
    folder = Path(folder)
    if _provenance(folder) is not None:
        return [folder]
    found = sorted(one for one in folder.glob("*/") if not one.name.startswith(".") and _provenance(one) is not None)
    if not found:
        kind = "not found" if not folder.exists() else f"holds no {PROVENANCE_FILE} of an edit, nor does a folder in it"
        raise InputError(f"{folder}: {kind}; give a case's folder, or the output folder of mededit edit.")
    return found


def write_edit_view(
    folder: str | Path,
    scan: str | Path | None = None,
    pathology: str | Path | None = None,
    output: str | Path | None = None,
) -> Path:
    """
    Write the page about an edit.

    Args:
        folder: of a case that mededit edited.
        scan, pathology: where the scan and the lesion mask are now, if they were moved; the same files.
        output: HTML file; by default ``viewer.html`` in the folder. One that mededit wrote is replaced.

    Returns:
        the page.

    Raises:
        InputError: no such folder, a scan or mask that is gone or another one, a file in the way.
    """
    folder = Path(folder)
    place = folder / VIEWER_FILE if output is None else Path(output)
    if place.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output: got '{place}', wanted the name of a page; let it end in .html.")
    content = edit_page(folder, scan, pathology)
    inputs = [one for one in _files(folder, _required(folder), scan, pathology).values() if one.exists()]
    require_apart(place, inputs)
    written = OutputFolder(place.parent, inputs)
    written.require_free([place.name])
    with exclusive(place.parent):  # which makes it; others may be writing to it as well
        remove_unfinished(place.parent, (place.name, MARKER))  # of a run that was killed
        written.write({place.name: content})
    return place


def write_edit_views(folders: Sequence[Path], written: Callable[[Path], None]) -> list[Path]:
    """
    Write the page of each of several cases. One that cannot be shown is told of at the end, and the others go on; no
    ``failed.json`` lists it, since that is the edit's, which has not failed.

    Args:
        folders: of cases.
        written: is told of each page as it is there.

    Returns:
        the pages.

    Raises:
        InputError: none of them can be shown.
        SomeFailed: some of them.
    """
    pages: list[Path] = []
    failed: list[dict[str, str]] = []
    for one in folders:
        try:
            pages.append(write_edit_view(one))
        except Exception as error:
            failed.append(failed_case(one.name, error))
        else:
            written(pages[-1])
    require_any(EditingCases(failed, [page.parent.name for page in pages]), "shown")
    for case in failed:
        say(f"{case['case_id']}: {case['failed']}", error=True)
    if failed:
        raise SomeFailed(pages, failed)
    return pages


def edit_page(folder: str | Path, scan: str | Path | None = None, pathology: str | Path | None = None) -> bytes:
    """What :func:`write_edit_view` writes."""
    return viewer_page(edit_view(folder, scan, pathology)).encode("utf-8", "surrogateescape")


def edit_view(folder: str | Path, scan: str | Path | None = None, pathology: str | Path | None = None) -> ViewCase:
    """
    An edit as :func:`~mededit_monai.reports.view_page.viewer_page` shows it: its samples, or the steps of its course.

    Args:
        folder, scan, pathology: as for :func:`write_edit_view`.

    Raises:
        InputError: as there.
    """
    folder = Path(folder)
    facts = _required(folder)
    files = _files(folder, facts, scan, pathology)
    _require_same(files, facts, folder)
    prior = read_echo(files["scan"], facts["options"].get("echo"))
    steps = _step_folders(folder)
    lesion = np.zeros(prior.data.shape, dtype=bool)
    if "pathology" in files:
        lesion = binary_mask(_on_grid(read_volume(files["pathology"]), prior), (*BINARY, *TUMOR_LABELS))
    return ViewCase(
        name=str(facts["case_id"]),
        prior=prior.data,
        affine=prior.affine,
        lesion=lesion,
        steps=_Steps(steps, prior),
        largest_mm=max((_effects(one).get("largest_displacement_mm", 0.0) for one in steps), default=0.0),
        facts=facts_of(facts, [_effects(one) for one in steps]),
        warnings=[str(one) for one in facts.get("warnings", ())],
    )


class _Steps:
    """Reads one counterfactual after the other, as often as it is asked to."""

    def __init__(self, folders: list[Path], prior: Volume) -> None:
        self.folders, self.prior = folders, prior

    def __iter__(self) -> Iterator[ViewStep]:
        return map(self._read, self.folders)

    def _read(self, folder: Path) -> ViewStep:
        facts = _required(folder)
        edited = _on_grid(read_volume(folder / facts.get("edited", "edited.nii.gz")), self.prior)
        region = _on_grid(read_volume(folder / "edit_region.nii.gz"), self.prior)
        field = folder / "displacement.nii.gz"
        moved = _lengths(field, self.prior) if field.exists() else None
        name = f"strength {facts['strength']:.3g}" if "course" in facts and "strength" in facts else ""
        return ViewStep(name or folder.name.replace("_", " "), edited.data, region.data > 0, moved)


def _lengths(field: Path, prior: Volume) -> np.ndarray:
    """|u| in mm on the scan's grid, RAS order."""
    vectors, affine = read_displacement(field)
    lengths = np.sqrt((vectors**2).sum(axis=0))
    turned: np.ndarray = apply_orientation(lengths, io_orientation(affine))
    if turned.shape != prior.data.shape:
        raise InputError(
            f"{field}: has {turned.shape} voxels, the scan {prior.data.shape}; edit the scan again with mededit edit."
        )
    return turned


def _on_grid(volume: Volume, prior: Volume) -> Volume:
    if volume.data.shape != prior.data.shape:
        raise InputError(
            f"{volume.path}: has {volume.data.shape} voxels, the scan {prior.data.shape}; give the scan that was "
            f"edited with --scan, or edit it again with mededit edit."
        )
    return volume


def _step_folders(folder: Path) -> list[Path]:
    """A case's samples or steps of its course, in their order; the case's own folder where it is a single edit."""
    inner = [one for one in folder.glob("*/") if _STEP.fullmatch(one.name) and _provenance(one) is not None]
    return sorted(inner, key=lambda one: int(one.name.rpartition("_")[2])) or [folder]


def _files(
    folder: Path, facts: Mapping[str, Any], scan: str | Path | None, pathology: str | Path | None
) -> dict[str, Path]:
    """Scan and lesion mask: as given now, else as given to the edit, which wrote a lesion that it made itself."""
    named = facts.get("files", {})
    found = {key: Path(named[key]) for key in ("scan", "pathology") if named.get(key)}
    if "pathology" not in found and (own := _own_lesion(folder)) is not None:
        found["pathology"] = own
    found |= {key: Path(given) for key, given in (("scan", scan), ("pathology", pathology)) if given is not None}
    if "scan" not in found:
        raise InputError(f"{folder / PROVENANCE_FILE}: names no scan; edit the scan again with mededit edit.")
    return found


def _own_lesion(folder: Path) -> Path | None:
    """The mask of a lesion that was asked for in words, as the edit wrote it; samples have their case's."""
    places = [folder, folder.parent] if _STEP.fullmatch(folder.name) else [folder]
    return next((one for place in places if (one := place / "pathology.nii.gz").is_file()), None)


def _require_same(files: Mapping[str, Path], facts: Mapping[str, Any], folder: Path) -> None:
    for key, path in files.items():
        if not is_there(path):
            raise InputError(
                f"{path}: not found, but {folder.name} was made of it; say where it is now with --{key} FILE."
            )
        wanted = facts.get("inputs", {}).get(key)
        if key == "pathology" and key not in facts.get("files", {}):  # made by the edit, which has no input to name
            if (own := _own_lesion(folder)) is None:
                raise InputError(
                    f"--pathology: got {path}, but the lesion of {folder.name} was asked for in words and its mask, "
                    f"pathology.nii.gz, is gone, so that nothing tells whether this is it; leave the option out, or "
                    f"edit again."
                )
            wanted = image_sha256(own)
        if wanted is not None and (found := image_sha256(path)) != wanted:
            raise InputError(
                f"{path}: is not the file that {folder.name} was made of (SHA-256 {found[:12]}…, wanted "
                f"{wanted[:12]}…); say where that is with --{key} FILE, or edit again."
            )


def _provenance(folder: Path) -> dict[str, Any] | None:
    found = _json(folder / PROVENANCE_FILE)
    return found if "case_id" in found and isinstance(found.get("options"), dict) else None


def _required(folder: Path) -> dict[str, Any]:
    found = _provenance(folder)
    if found is None:
        raise InputError(f"{folder}: holds no {PROVENANCE_FILE} of an edit; give the folder of a case.")
    return found


def _effects(folder: Path) -> dict[str, Any]:
    return _json(folder / "effects.json")


def _json(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

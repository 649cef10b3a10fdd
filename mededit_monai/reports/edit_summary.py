# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What became of the cases of a list: ``failed.json``, ``summary.csv`` and ``summary.html`` beside their folders."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from PIL import Image

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import json_bytes, remove_unfinished, write_bytes
from mededit_monai.io.claims import exclusive
from mededit_monai.io.outputs import MARKER, OutputFolder, list_files, remove_listed_file, written_files
from mededit_monai.io.provenance import DISCLAIMER, PROVENANCE_FILE

#: The cases that failed, each with its sentence; there while any has.
FAILED_FILE = "failed.json"
TABLE_FILE, PAGE_FILE = "summary.csv", "summary.html"
SUMMARY_FILES = (TABLE_FILE, PAGE_FILE)

#: So many previews are in the page, each this wide in pixels: about 20 kB.
THUMBNAILS, WIDTH = 500, 480

DONE, DONE_BEFORE, FAILED = "done", "done before", "failed"


@dataclass(frozen=True)
class CaseRow:
    """
    A case in the table.

    Args:
        case_id: its name.
        status: ``done`` in the run that wrote the table, ``done before`` (or by another shard), or ``failed``.
        reason: why it failed.
        lesion_ml: the lesion's volume inside the brain; None: not known, as of results of older versions.
        largest_displacement_mm: of all samples; None where nothing was to move.
        warnings: how many.
        seconds: that the batch with the case took.
        path: of its folder, relative to the output folder.
    """

    case_id: str
    status: str
    reason: str = ""
    lesion_ml: float | None = None
    largest_displacement_mm: float | None = None
    warnings: int | None = None
    seconds: float | None = None
    path: str = ""


def require_free_summary(
    folder: Path,
    names: Collection[str],
    overwrite: bool = False,
    files: Collection[str] = (FAILED_FILE, *SUMMARY_FILES),
) -> None:
    """
    Refuse files of somebody's in the place of the summary.

    Args:
        folder: the output folder; names: of the cases; overwrite: whether a summary that was changed may be replaced.
        files: of which the summary consists.

    Raises:
        InputError: such a file is there, one of ours was changed, or a case is called like one.
    """
    clash = sorted(set(files) & set(names))
    if clash:
        raise InputError(
            f"case_id '{clash[0]}': is the name of a file that tells of all cases; call the case otherwise."
        )
    OutputFolder(folder, overwrite=True).require_free(set(files) - set(SUMMARY_FILES))  # brought up to date, as a log
    OutputFolder(folder, overwrite=overwrite).require_free(set(files) & set(SUMMARY_FILES))


def write_summary(
    folder: Path,
    made: Collection[str],
    done: Collection[str],
    failed: Sequence[Mapping[str, str]],
    overwrite: bool = False,
) -> None:
    """
    Write what became of the cases; shards that share a folder may do so one after the other.

    The rows are what the folders of the results say of themselves, and ``failed.json``, so that whoever comes last has
    those of all shards.

    Args:
        folder: the output folder.
        made, done: names of the cases that this run made, and that it found done.
        failed: ``case_id`` and ``failed``, a sentence, of those that it could not make.
        overwrite: as for :func:`require_free_summary`.

    Raises:
        InputError: a file of somebody's is in the way.
    """
    if not (failed or made or folder.is_dir()):
        return
    with exclusive(folder):
        remove_unfinished(folder, (FAILED_FILE, *SUMMARY_FILES, MARKER))  # nobody else writes these now
        require_free_summary(folder, (), overwrite)
        listed = _list_failed(folder, {*made, *done, *(one["case_id"] for one in failed)}, failed)
        rows = summary_rows(folder, made, listed)
        if not rows:
            return
        OutputFolder(folder, overwrite=overwrite).write(
            {TABLE_FILE: _table(rows), PAGE_FILE: _page(folder, rows).encode(*_UTF8)}
        )


def write_failures(folder: Path, made: Collection[str], failed: Sequence[Mapping[str, str]]) -> None:
    """
    Bring ``failed.json`` up to date, and write nothing else.

    Args:
        folder: the output folder.
        made: names of the cases that this run made, or found done.
        failed: ``case_id`` and ``failed``, a sentence, of those that it could not make.

    Raises:
        InputError: a file of somebody's is in its place.
    """
    if not (failed or folder.is_dir()):
        return
    with exclusive(folder):
        remove_unfinished(folder, (FAILED_FILE, MARKER))  # nobody else writes these now
        require_free_summary(folder, (), files=(FAILED_FILE,))
        _list_failed(folder, {*made, *(one["case_id"] for one in failed)}, failed)


_UTF8 = ("utf-8", "surrogateescape")


def _list_failed(folder: Path, mine: set[str], failed: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Bring ``failed.json`` up to date for the cases of a run, and return all that it lists."""
    place = folder / FAILED_FILE
    before = _json(place)
    known = [one for one in before if _is_failure(one)] if isinstance(before, list) else []
    listed = [*(one for one in known if one["case_id"] not in mine), *failed]
    if not listed:
        remove_listed_file(place)
    elif listed != before:
        list_files(folder, {FAILED_FILE: None})
        write_bytes(place, json_bytes(listed))
    return listed


def _is_failure(one: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("case_id", "failed"))


def summary_rows(folder: Path, made: Collection[str], failed: Sequence[Mapping[str, str]]) -> list[CaseRow]:
    """
    The rows of the table, sorted by name; a case that failed is that, even if an older result of it is there.

    Args:
        folder: the output folder.
        made: names of the cases that were made just now.
        failed: as for :func:`write_summary`.
    """
    rows = {one["case_id"]: CaseRow(one["case_id"], FAILED, one["failed"]) for one in failed}
    for place in folder.iterdir():
        facts = None if place.name in rows or place.name.startswith(".") else result_facts(place)
        if facts is not None:
            rows[place.name] = CaseRow(
                place.name,
                DONE if place.name in made else DONE_BEFORE,
                "",
                facts.get("lesion_ml"),
                largest_displacement_mm(place),
                len(facts.get("warnings", ())),
                facts.get("seconds"),
                place.name,
            )
    return [rows[name] for name in sorted(rows)]


def result_facts(folder: Path) -> dict[str, Any] | None:
    """The provenance of an edit's folder that mededit wrote; None for any other folder or file."""
    if PROVENANCE_FILE not in (written_files(folder) or ()):
        return None
    facts = _json(folder / PROVENANCE_FILE)
    return facts if isinstance(facts, dict) and "case_id" in facts else None


def largest_displacement_mm(folder: Path) -> float | None:
    """How far tissue moved at most in the edits of a result's folder; None where nothing was to move."""
    found = [_json(place) for place in (folder / "effects.json", *folder.glob("*/effects.json"))]
    return max((round(one["largest_displacement_mm"], 4) for one in found if one is not None), default=None)


def _json(place: Path) -> Any:
    try:
        return json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None


def _table(rows: Sequence[CaseRow]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [one.name for one in fields(CaseRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _cell(v) for k, v in asdict(row).items()} for row in rows)
    return stream.getvalue().encode(*_UTF8)


def _cell(value: Any) -> Any:
    """What a spreadsheet shows as it is: a text that it would compute as a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def _page(folder: Path, rows: Sequence[CaseRow]) -> str:
    """One page that needs no other file."""
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    shown = [row for row in rows if row.path][:THUMBNAILS]
    return environment.get_template("edit_summary.html").render(
        note=DISCLAIMER,
        rows=rows,
        counts={status: sum(row.status == status for row in rows) for status in (DONE, DONE_BEFORE, FAILED)},
        pictures={row.case_id: _thumbnail(folder / row.path / "preview.png") for row in shown},
        pages={row.case_id for row in rows if row.path and (folder / row.path / "viewer.html").exists()},
        left_out=sum(bool(row.path) for row in rows) - len(shown),
    )


def _thumbnail(place: Path) -> str | None:
    """A preview made small, as base64 of a JPEG; None if it cannot be read."""
    try:
        picture = Image.open(place).convert("RGB")
    except OSError:
        return None
    picture.thumbnail((WIDTH, WIDTH))
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=80)
    return base64.b64encode(stream.getvalue()).decode()

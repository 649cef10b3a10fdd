# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit edit`: a lesion into a scan."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from mededit_monai.cli.generated import BUNDLE, JSON, add_verb, say_written
from mededit_monai.core.errors import SomeFailed
from mededit_monai.core.options import Option, options_of
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.record import METHODS, own_options

#: In a BIDS dataset a case's own file, by its sample; what was carried along has the carried file's label after that.
_OWN = re.compile(r"_desc-counterfactual([0-9]*)_T1w\.")


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    declared = [_with_summaries(one) for one in options_of(EditOptions).values() if one.verb]
    own = [replace(one, help=f"{one.help.rstrip('.')} ({one.group}).") for one in own_options().values()]
    add_verb(
        app,
        "edit",
        [*declared[:4], BUNDLE, *declared[4:], *own, JSON],
        edit_command,
        "Add a lesion to a scan; the edit is on its grid and, if it can be, in its format. Defaults are the bundle's.",
        "mededit edit --scan T1.nii.gz --pathology lesion.nii.gz --brain brain.nii.gz -o out",
    )


def _with_summaries(one: Option) -> Option:
    """The option with what its words mean, for --method."""
    if one.name != "method":
        return one
    methods = "; ".join(f"{method.name}: {method.summary}" for method in METHODS.values())
    return replace(one, help=f"{one.help} {methods}.", choices=None)


def edit_command(given: dict[str, Any]) -> None:
    """Edit, and say where the results are; what was done before is said too."""
    from mededit_monai.workflows import edit

    as_json = given.pop("json")
    index = given.get("slice_index", "")
    if index.removeprefix("-").isdecimal():
        given["slice_index"] = int(index)
    try:
        say_written(edit(**given), as_json, _line)
    except SomeFailed as some:
        say_written(some.written, as_json, _line, some.failed)
        raise


def _line(folder: Path) -> str:
    pages = [*folder.glob("viewer.html"), *_own(folder, "figures/*.html"), *_own(folder, "figures/*.png")]
    return f"{folder}: look at {pages[0] if pages else folder / 'preview.png'}, load {_edited(folder)}"


def _edited(folder: Path) -> Path:
    """What to load: the edit, the mean of the samples, or the end of the course; in a BIDS dataset the first edit."""
    laid_out = _own(folder, "anat/*.nii*")
    if laid_out:
        return laid_out[0]
    course = sorted(folder.glob("course_*/edited.*"), key=lambda place: int(place.parent.name.partition("_")[2]))
    single = sorted(folder.glob("edited.*"))
    return single[0] if single else course[-1] if course else folder / "mean.nii.gz"


def _own(folder: Path, pattern: str) -> list[Path]:
    """Of a BIDS dataset's files those of the counterfactuals themselves, the case's or the first sample's first."""
    found = [(match[1], place) for place in folder.glob(pattern) if (match := _OWN.search(place.name))]
    return [place for _, place in sorted(found, key=lambda one: (len(one[0]), *one))]

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit view`: a page in which an edit is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS, say_written


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command("view", context_settings=SETTINGS, epilog="Example: mededit view out/T1, or: mededit view out")(
        view_command
    )


def view_command(
    folder: Annotated[
        str, typer.Argument(help="A case's folder, or the output folder of mededit edit: then a page for every case.")
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Page to write; default: viewer.html in the case's folder.")
    ] = None,
    scan: Annotated[str | None, typer.Option(help="Where the scan that was edited is now, if it was moved.")] = None,
    pathology: Annotated[str | None, typer.Option(help="The same for the lesion mask.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """A page to look at an edit in a browser: one file that holds scan and counterfactual and needs no network."""
    from mededit_monai.core.errors import InputError, SomeFailed
    from mededit_monai.core.paths import user_path
    from mededit_monai.reports.view_edit import case_folders, write_edit_view, write_edit_views

    folders = case_folders(user_path(folder))
    named = {"--output": output, "--scan": scan, "--pathology": pathology}
    for name, given in named.items():
        if given is not None and len(folders) > 1:
            raise InputError(f"{name}: got '{given}' for {len(folders)} cases in {folder}; give the folder of one.")
    if len(folders) == 1:
        files = [None if given is None else user_path(given) for given in (scan, pathology, output)]
        say_written([write_edit_view(folders[0], *files)], as_json, _line)
        return
    try:
        pages = write_edit_views(folders, lambda page: None if as_json else print(_line(page)))
    except SomeFailed as some:
        if as_json:
            say_written(some.written, as_json, _line, some.failed)
        raise
    if as_json:
        say_written(pages, as_json, _line)


def _line(page: Path) -> str:
    return f"{page}: open it in a browser; it holds the scan, so share it as you would share that"

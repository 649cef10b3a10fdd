# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit prepare`: brain, bias field and pose of a raw scan."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import ECHO, SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "prepare", context_settings=SETTINGS, epilog="Example: mededit prepare --scan T1.nii.gz -o out/prepared"
    )(prepare_command)


def prepare_command(
    scan: Annotated[str, typer.Option(help="T1-weighted scan, whole head or skull-stripped.")],
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder for the results.")] = "out/prepared",
    brain: Annotated[str | None, typer.Option(help="Brain mask to use instead of one that is found.")] = None,
    echo: Annotated[int | None, typer.Option(help=ECHO)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the result of another scan, or one that was changed by hand.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would be done with a warning.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the brain, the bias field and the pose of a raw scan, as an edit of it does; with a picture to check."""
    from mededit_monai.handlers.preparation_files import PICTURE, prepare_scan

    folder, facts = prepare_scan(scan, output_dir, brain, overwrite, strict, echo)
    if as_json:
        print(json.dumps({"written": str(folder), **facts}))
    else:
        print(
            f"{folder}: look at {folder / PICTURE}; brain {facts['brain_ml']:g} ml, tilt {facts['tilt_degrees']:.0f}°"
        )

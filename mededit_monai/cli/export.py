# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit export`: a thin call that writes a bundle for the model zoo or Hugging Face."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "export",
        context_settings=SETTINGS,
        epilog="Example: mededit export --bundle stroke --to hf --hub_id ORG/NAME -o out/share",
    )(export_command)


def export_command(
    to: Annotated[str, typer.Option(help="zoo (a pull request to the MONAI Model Zoo) or hf (Hugging Face).")],
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="A new folder.")],
    bundle: Annotated[str, typer.Option(help="stroke, tumor or a bundle's folder.")] = "stroke",
    hub_id: Annotated[
        str | None,
        typer.Option("--hub_id", help="ORG/NAME on Hugging Face, for the pages; zoo: an entry in hf_models."),
    ] = None,
    files_url: Annotated[
        str | None, typer.Option("--files_url", help="zoo: web address of the folder that files above 25 MB are in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a bundle as the MONAI Model Zoo or Hugging Face takes it: whole, its weights checked; nothing is sent."""
    from mededit_monai.core.errors import say
    from mededit_monai.sharing.export import export_bundle

    facts = export_bundle(bundle, to, output_dir, hub_id, files_url)
    if facts["undeclared"]:
        say(f"{', '.join(facts['undeclared'])}: no checksum was declared; the exported list has those of the files.")
    if facts["apart"]:
        say(f"{', '.join(facts['apart'])}: not in the bundle, as they are released apart; the export lacks them too.")
    if as_json:
        print(json.dumps(facts))
        return
    print(f"{facts['written']}: {facts['name']}, {facts['files']} files, {facts['bytes'] / 1e6:.1f} MB")
    if facts["large_files"]:
        print(f"left out, for you to put on the web: {', '.join(facts['large_files'])}")

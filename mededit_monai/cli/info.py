# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit info`: what a bundle is, or what is seen in a scan, a mask or a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mededit_monai.cli.generated import ECHO, SETTINGS
from mededit_monai.cli.given import refuse_unused


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "info", context_settings=SETTINGS, epilog="Example: mededit info T1.nii.gz, or: mededit info --bundle stroke"
    )(info_command)


def info_command(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="A scan, a mask, or an edit: its folder, edited.nii.gz, provenance.json."
        ),
    ] = None,
    bundle: Annotated[
        str,
        typer.Option(help="stroke, tumor, a bundle's folder, or hf:ORG/NAME; of a FILE: whose edits it would go to."),
    ] = "stroke",
    echo: Annotated[int | None, typer.Option(help=ECHO)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """What a scan, mask or result is, and what an edit would do with it; without FILE, what a bundle is."""
    from mededit_monai.core.errors import InputError
    from mededit_monai.core.paths import bundle_root, user_path
    from mededit_monai.io.atomic import json_bytes

    root = bundle_root(bundle)
    if file is None and echo is not None:
        raise InputError(f"--echo: got {echo} without a FILE of several volumes; give one, or leave it out.")
    if file is None:
        facts = bundle_facts(root)
    else:
        from mededit_monai.diseases.bundle import bundle_disease
        from mededit_monai.reports.file_facts import file_facts

        facts = file_facts(user_path(file), bundle_disease(root), echo)
        if "edit" not in facts:
            refuse_unused(context, ("bundle",), f"says whose edits a scan or mask would go to, and {file} is a result")
    if as_json:
        print(json_bytes(facts, 2).decode(), end="")
        return
    print("\n".join(lines(facts)))


def bundle_facts(root: Path) -> dict[str, Any]:
    """
    Version, task and weights of a bundle, with their SHA-256.

    Raises:
        InputError: its ``metadata.json`` is missing, damaged, or says not what the bundle is.
    """
    from mededit_monai.core.errors import InputError
    from mededit_monai.io.provenance import sha256

    place = root / "configs" / "metadata.json"
    try:
        metadata = json.loads(place.read_bytes())
        about = {key: metadata[key] for key in ("version", "task")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place}: cannot be read, or is no JSON with 'version' and 'task'; get the bundle again."
        ) from error
    weights = {p.name: sha256(p) for p in sorted((root / "models").glob("*.pt"))}
    return {"bundle": root.name, **about, "weights": weights}


def lines(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    """Facts for a reader, a line each; what is not known is left out."""
    found = []
    for key, value in facts.items():
        name = f"{indent}{key.replace('_', ' ')}:"
        if isinstance(value, Mapping):
            found += [name, *lines(value, indent + "  ")]
        elif isinstance(value, list) and any(isinstance(one, str) for one in value):
            found += [name, *(f"{indent}  {one}" for one in value)]
        elif isinstance(value, bool):
            found.append(f"{name} {'yes' if value else 'no'}")
        elif value is not None and value != []:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"
            found.append(f"{name} {shown}")
    return found

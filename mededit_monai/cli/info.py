# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit info`: what a bundle is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command("info", context_settings=SETTINGS, epilog="Example: mededit info --bundle stroke --json")(info_command)


def info_command(
    bundle: Annotated[str, typer.Option(help="stroke, tumor or a bundle's folder.")] = "stroke",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """What a bundle is: version, task, weights and their SHA-256."""
    from mededit_monai.core.paths import bundle_root
    from mededit_monai.io.provenance import sha256

    root = bundle_root(bundle)
    metadata = json.loads((root / "configs" / "metadata.json").read_bytes())
    weights = {p.name: sha256(p) for p in sorted((root / "models").glob("*.pt"))}
    facts = {"bundle": root.name, "version": metadata["version"], "task": metadata["task"], "weights": weights}
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            value = "".join(f"\n  {name}  {digest}" for name, digest in value.items())
        print(f"{key}: {value}")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit doctor`: whether this installation works."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command("doctor", context_settings=SETTINGS, epilog="Example: mededit doctor")(doctor_command)


def doctor_command(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Versions, torch, memory, disk, folders, weights and one small edit: ok, warning or failed; 1 if any failed."""
    from mededit_monai.doctor import FAILED, examine

    checks = []
    for check in examine():
        checks.append(check)
        if not as_json:
            print(check, flush=True)
    works = all(check.state != FAILED for check in checks)
    if as_json:
        print(json.dumps({"works": works, "checks": [check.plain() for check in checks]}, indent=2))
    if not works:
        raise typer.Exit(1)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit recovery`: what a segmenter finds of lesions that were put into scans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from mededit_monai.cli.generated import JSON, add_verb
from mededit_monai.core.errors import SomeFailed
from mededit_monai.core.options import options_of
from mededit_monai.core.paths import user_path
from mededit_monai.recovery.options import RecoveryOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    add_verb(
        app,
        "recovery",
        [*options_of(RecoveryOptions).values(), JSON],
        recovery_command,
        "Put lesions of known volume and place into scans, let any segmenter look for them, and score what it found.",
        "mededit recovery --scans scans --segmenter 'python segment.py {image} {output}' -o out/recovery",
    )


def recovery_command(given: dict[str, Any]) -> None:
    """Run it, and say what was found; of the cases that could be scored if some failed."""
    from mededit_monai.workflows import recovery

    as_json = given.pop("json")
    try:
        _say_found(recovery(**{"scans": None, **given}), as_json)
    except SomeFailed:
        _say_found(user_path(given.get("output_dir", RecoveryOptions.output_dir)) / "recovery.json", as_json)
        raise


def _say_found(written: Path, as_json: bool) -> None:
    """Say what ``recovery.json`` holds, a line each, or as JSON, there with the cases that failed."""
    content = json.loads(written.read_bytes())
    if as_json:
        facts = {name: content[name] for name in ("recall", "figures", "unedited")}
        facts |= {"failed": content["failed"]} if content["failed"] else {}
        print(json.dumps({"synthetic": True, "written": str(written), **facts}))
        return
    for size, one in content["recall"].items():
        print(f"recall, {size}: {one['value']:.3f} of {one['n_cases']} lesions")
    print(f"{written.parent}: look at recovery.md and recovery.png")

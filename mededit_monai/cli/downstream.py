# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit downstream`: what synthetic cases are worth to a segmentation network."""

from __future__ import annotations

import json
from typing import Any

import typer

from mededit_monai.cli.generated import JSON, add_verb
from mededit_monai.core.options import options_of
from mededit_monai.downstream.options import DownstreamOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    add_verb(
        app,
        "downstream",
        [*options_of(DownstreamOptions).values(), JSON],
        downstream_command,
        "Train a segmentation network on real, synthetic and augmented cases, and measure it on real ones held out.",
        "mededit downstream --cohort out/heads --synthetic out/synthesis -o out/downstream",
    )


def downstream_command(given: dict[str, Any]) -> None:
    """Run the experiment, and say what it found."""
    from mededit_monai.workflows import downstream

    as_json = given.pop("json")
    written = downstream(**{"cohort": None, **given})
    content = json.loads(written.read_bytes())
    if as_json:
        facts = {row["row"]: row["dice"]["value"] for row in content["rows"]}
        print(json.dumps({"synthetic": content["synthetic"], "written": str(written), "dice": facts}))
        return
    for row in content["rows"]:
        other = row["dice"]["against_real"]
        said = f", {other['difference']:+.4f} against real: {other['verdict']}" if other else ""
        print(f"{row['label']}: Dice {row['dice']['value']:.4f}{said}")
    print(f"{written.parent}: look at report.html")

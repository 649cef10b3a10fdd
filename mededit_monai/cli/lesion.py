# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit lesion`: a mask for a first try."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "lesion",
        context_settings=SETTINGS,
        epilog="Example: mededit lesion --scan T1.nii.gz --centre 38 -24 23 --radius 14 -o lesion.nii.gz",
    )(lesion_command)


def lesion_command(
    scan: Annotated[str, typer.Option(help="The scan whose grid the mask gets.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Mask to write.")],
    centre: Annotated[tuple[float, float, float] | None, typer.Option(help="World mm (x y z), RAS+.")] = None,
    radius: Annotated[float, typer.Option(help="Mean radius in mm.")] = 14.0,
    brain: Annotated[str | None, typer.Option(help="Brain mask.")] = None,
    seed: Annotated[int, typer.Option(help="Shape of the outline.")] = 0,
    regions: Annotated[
        bool, typer.Option("--regions", help="Labels of a tumour: 1 core, 2 edema, 3 enhancing rim.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another mask that mededit wrote there.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would be done with a warning.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw an irregular lesion mask on a scan's grid, for a first try."""
    from mededit_monai.simulation.drawing import draw_lesion

    voxels = draw_lesion(scan, output, centre, radius, brain, seed, regions, overwrite, strict)
    print(json.dumps({"written": output, "voxels": voxels}) if as_json else f"{output}: {voxels} voxels")

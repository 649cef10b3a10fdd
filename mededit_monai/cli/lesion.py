# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit lesion`: where the lesion is to be."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import ECHO, SETTINGS
from mededit_monai.cli.given import given_words, refuse_unused

#: Radius of an irregular lesion, mm.
RADIUS = 14.0


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "lesion",
        context_settings=SETTINGS,
        epilog="Example: mededit lesion --scan T1.nii.gz --territory MCA --side left --stratum large -o lesion.nii.gz",
    )(lesion_command)


def lesion_command(
    context: typer.Context,
    scan: Annotated[str, typer.Option(help="The scan whose grid the mask gets.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Mask to write; a picture of it comes beside it.")],
    shape: Annotated[
        str | None, typer.Option(help="irregular (what is drawn if nothing else is said), sphere, ellipsoid or box.")
    ] = None,
    centre: Annotated[tuple[float, float, float] | None, typer.Option(help="World mm (x y z), RAS+.")] = None,
    radius: Annotated[float, typer.Option(help="Radius of a shape in mm; of a box half its side.")] = RADIUS,
    radii: Annotated[
        tuple[float, float, float] | None, typer.Option(help="The same along x, y and z, for an ellipsoid or box.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Whose mm centre, radii or mask are: native (the scan's) or mni (ICBM 152).")
    ] = None,
    mask: Annotated[str | None, typer.Option(help="Somebody's lesion mask, carried to the scan's grid.")] = None,
    lesions: Annotated[
        str | None, typer.Option(help="Folder of masks in MNI space, of which one is taken at random.")
    ] = None,
    territory: Annotated[
        str | None, typer.Option(help="Draw an infarct where this artery feeds: ACA, MCA, PCA, VB (approximate).")
    ] = None,
    side: Annotated[str | None, typer.Option(help="left or right, the patient's.")] = None,
    stratum: Annotated[str | None, typer.Option(help="small, medium or large.")] = None,
    volume: Annotated[
        tuple[float, float] | None, typer.Option(help="Least and most ml of a mask from --lesions.")
    ] = None,
    territories: Annotated[str | None, typer.Option(help="Folder of masks in MNI space: draw where those are.")] = None,
    brain: Annotated[str | None, typer.Option(help="Brain mask.")] = None,
    echo: Annotated[int | None, typer.Option(help=ECHO)] = None,
    keep_ventricles: Annotated[
        bool, typer.Option("--keep_ventricles", help="Leave ventricles that the lesion covers in the mask.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is drawn or taken at random.")] = 0,
    regions: Annotated[
        bool, typer.Option("--regions", help="Labels of a tumour: 1 core, 2 edema, 3 enhancing rim.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another mask that mededit wrote there.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would be done with a warning.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a lesion mask on a scan's grid: a shape, an infarct in a territory, or a mask of somebody's."""
    from mededit_monai.core.errors import InputError
    from mededit_monai.lesions.files import summary, write_lesion
    from mededit_monai.lesions.wanted import SHAPES, Wanted

    words = given_words(context, ["radius"])
    if words and radii is not None:
        raise InputError(f"--radius: got {radius} together with --radii; give one or the other.")
    if shape in ("irregular", "sphere") and radii is not None:
        raise InputError(f"--radii: got {radii}, but the shape '{shape}' has one --radius; or give --shape ellipsoid.")
    drawn = territory or side or stratum or territories
    if shape is None and not (mask or lesions or drawn):
        shape = "irregular"
    sizes = (radius,) * 3 if words or shape == "irregular" else radii
    wanted = Wanted(shape, centre, radii or sizes, space, mask, lesions, stratum, side, territory, volume)
    if wanted.kind in ("mask", *SHAPES[1:]):
        refuse_unused(context, ("seed",), "applies to what is drawn or taken at random")
    made = write_lesion(
        wanted, scan, output, brain, seed, regions, keep_ventricles, territories, overwrite, strict, echo=echo
    )
    print(
        json.dumps(made)
        if as_json
        else f"{output}: {made['voxels']} voxels, {summary(made)}; look at {made['preview']}"
    )

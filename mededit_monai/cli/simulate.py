# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit simulate`: a thin call of the simulator."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS
from mededit_monai.cluster.where import HELP


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "simulate",
        context_settings=SETTINGS,
        epilog="Example: mededit simulate --disease stroke --cases 200 --workers 2 -o out/cohort",
    )(simulate_command)


def simulate_command(
    context: typer.Context,
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder of the cohort.")],
    disease: Annotated[str, typer.Option(help="stroke, tumor or a plugin's disease.")] = "stroke",
    cases: Annotated[int, typer.Option(help="Pairs in all splits together.")] = 100,
    counts: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Pairs for training, validation and testing, in place of --cases.", show_default=False),
    ] = None,
    anatomies: Annotated[
        str | None, typer.Option(help="Folder of FreeSurfer label maps or T1 scans; default: embedded template.")
    ] = None,
    lesions: Annotated[
        str | None,
        typer.Option(help="Folder of lesion masks in MNI space (tumor: labels too); default: drawn lesions."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 takes every core.")] = 1,
    cluster: Annotated[str | None, typer.Option(help=HELP)] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    split_seed: Annotated[
        int,
        typer.Option("--split_seed", help="Of who is held out, anatomies and lesions: the same for every --seed."),
    ] = 0,
    fold: Annotated[
        str | None,
        typer.Option(
            help="i/n: every n-th anatomy and lesion, from the i-th, is for testing; default: 12, 2 and 6 of 20."
        ),
    ] = None,
    slice_: Annotated[str, typer.Option("--slice", help="mid (the thesis's slice) or all.")] = "all",
    spatial_dims: Annotated[int, typer.Option("--spatial_dims", help="2 or 3.")] = 2,
    layout: Annotated[str, typer.Option(help="datalist, bids or nnunet.")] = "datalist",
    global_atrophy: Annotated[
        float,
        typer.Option(
            "--global_atrophy", help="Share of training pairs with remote atrophy; validation and testing have none."
        ),
    ] = 0.25,
    crops: Annotated[
        bool,
        typer.Option(
            "--crops", help="Boxes around the lesions on grids of 1 to 1.9 mm, for the painter; with --spatial_dims 3."
        ),
    ] = False,
    modalities: Annotated[
        list[str] | None,
        typer.Option(help="t1, t1ce, t2 or flair, may be repeated: heads with a tumour and their labels, no pairs."),
    ] = None,
    side: Annotated[int, typer.Option(help="Points a side of these heads: 32, 64, 96 or 128.")] = 128,
    law: Annotated[
        str,
        typer.Option(help="How lesions move tissue: own (as trained on), elastic, inverse_square, remote or none."),
    ] = "own",
    look: Annotated[str, typer.Option(help="How lesions are painted: own (as trained on) or second.")] = "own",
    progress: Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bar.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Simulate pairs of brains with and without a lesion, the true counterfactual known."""
    from mededit_monai.cli.given import refuse_unused
    from mededit_monai.simulation.plan import Recipe
    from mededit_monai.simulation.pool import worker_count
    from mededit_monai.simulation.simulate import simulate_cohort

    if counts is not None:
        refuse_unused(context, ("cases",), "is the sum of --counts")
    cases = cases if counts is None else sum(counts)
    kind = (crops, tuple(modalities) if modalities else None, side, law, look)
    recipe = Recipe(
        *(disease, cases, anatomies, lesions, seed, slice_, spatial_dims, layout, counts, global_atrophy, *kind),
        split_seed=split_seed,
        fold=fold,
    )
    count = worker_count(workers)
    written = simulate_cohort(recipe, output_dir, count, progress, cluster)
    if as_json:
        facts = {"datalist": str(written.datalist), "made": written.made, "found": written.found, **written.splits}
        print(json.dumps(facts | {"seconds": round(written.seconds, 2), "synthetic": True}))
        return
    splits = ", ".join(f"{count} {split}" for split, count in written.splits.items())
    rate = f" in {written.seconds:.1f} s, {written.made / written.seconds:.1f} a second" if written.made else ""
    print(
        f"{written.datalist}: {splits} ({written.made} made now{rate}, {written.found} found done); all images are "
        f"synthetic"
    )

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit dataset`: thin calls that prepare data sets as downloaded, and pair their cases."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mededit_monai.cli.generated import SETTINGS

Root = Annotated[str, typer.Option(help="Folder of the download, or a part of it.")]
Table = Annotated[str, typer.Option(help="Folder of BIDS derivatives or with cases.csv, or a CSV file.")]
Output = Annotated[str, typer.Option("--output_dir", "-o", help="Folder of the prepared data set.")]
Dims = Annotated[int, typer.Option("--spatial_dims", help="2 (slices) or 3 (volumes).")]
Index = Annotated[
    str | None, typer.Option("--slice_index", help="RAS axial: index, range 60:120 (120 not in it), all or auto.")
]
Brains = Annotated[str | None, typer.Option(help="Folder of brain masks, or a pattern with {name}.")]
Core = Annotated[bool, typer.Option("--require_core", help="Of slices with tumour, those with label 1 only.")]
Test = Annotated[str, typer.Option(help="Share or number of the slices with pathology, or thesis.")]
Validation = Annotated[float, typer.Option(help="Share of the patients not in the test list.")]
Seed = Annotated[int, typer.Option(help="Same seed, same splits.")]
Workers = Annotated[int, typer.Option(help="Processes; 0 takes every core.")]
SkipBad = Annotated[bool, typer.Option("--skip_bad", help="Leave volumes out that cannot be used.")]
Strict = Annotated[bool, typer.Option("--strict", help="Volumes with a warning cannot be used either.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace prepared files that were changed by hand.")]
Progress = Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bar.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Modalities = Annotated[
    list[str] | None,
    typer.Option(
        help="t1, t1ce, t2 or flair, may be repeated, or all: heads on these and their labels, for the synthesis."
    ),
]
Side = Annotated[int, typer.Option(help="Points a side of these heads: 32, 64, 96 or 128.")]
DEFAULT_TEST = "0.12"


def register(app: typer.Typer) -> None:
    """Add the verb and its parts to the program."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=SETTINGS,
        help="Prepare a data set as downloaded; pair test masks with scans without lesion; cut volumes to slices.",
        epilog="Example: mededit dataset brats --root DIR -o out/brats",
    )
    for name, function, example in (
        ("atlas", atlas_command, "mededit dataset atlas --root ATLAS_2 --brains DIR --workers 2 -o out/atlas"),
        ("brats", brats_command, "mededit dataset brats --root DIR --test thesis --workers 2 -o out/brats"),
        ("folder", folder_command, "mededit dataset folder --root cases.csv --disease stroke -o out/own"),
        ("pairs", pairs_command, "mededit dataset pairs --datalist out/brats/datalist.json -o out/triplets.json"),
        ("slices", slices_command, "mededit dataset slices --cohort out/volumes -o out/slices"),
    ):
        group.command(name, context_settings=SETTINGS, epilog=f"Example: {example}")(function)
    app.add_typer(group, name="dataset")


def atlas_command(
    root: Root,
    output_dir: Output,
    spatial_dims: Dims = 2,
    slice_index: Index = None,
    brains: Brains = None,
    test: Test = DEFAULT_TEST,
    validation: Validation = 0.1,
    seed: Seed = 0,
    workers: Workers = 1,
    skip_bad: SkipBad = False,
    strict: Strict = False,
    overwrite: Overwrite = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """ATLAS v2.0: T1 of strokes in MNI space. Slice 95 unless told otherwise."""
    _prepare("atlas", locals())


def brats_command(
    root: Root,
    output_dir: Output,
    spatial_dims: Annotated[
        int | None, typer.Option("--spatial_dims", help="2 (slices, the default) or 3 (volumes, as heads are).")
    ] = None,
    slice_index: Index = None,
    brains: Brains = None,
    require_core: Core = False,
    modalities: Modalities = None,
    side: Side = 128,
    test: Test = DEFAULT_TEST,
    validation: Validation = 0.1,
    seed: Seed = 0,
    workers: Workers = 1,
    skip_bad: SkipBad = False,
    strict: Strict = False,
    overwrite: Overwrite = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """BraTS: T1 with contrast agent of gliomas. Slice 90 unless told otherwise."""
    given = dict(locals())
    from mededit_monai.diseases.modalities import MODALITIES

    heads = MODALITIES if modalities == ["all"] else tuple(modalities) if modalities else None
    dims = spatial_dims if spatial_dims is not None else 2 if heads is None else 3
    _prepare("brats", given | {"modalities": heads, "spatial_dims": dims})


def folder_command(
    root: Table,
    output_dir: Output,
    disease: Annotated[str, typer.Option(help="stroke or tumor.")],
    spatial_dims: Dims = 2,
    slice_index: Index = None,
    brains: Brains = None,
    require_core: Core = False,
    test: Test = DEFAULT_TEST,
    validation: Validation = 0.1,
    seed: Seed = 0,
    workers: Workers = 1,
    skip_bad: SkipBad = False,
    strict: Strict = False,
    overwrite: Overwrite = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Your own data: BIDS derivatives or a table. The slice with the largest lesion unless told otherwise."""
    _prepare("folder", locals())


def pairs_command(
    context: typer.Context,
    datalist: Annotated[str, typer.Option(help="Of a prepared data set or a simulated cohort.")],
    output: Annotated[str, typer.Option("--output", "-o", help="JSON of triplets to write.")],
    pairing: Annotated[str, typer.Option(help="thesis (at random) or paired (simulated, truth known).")] = "thesis",
    per_mask: Annotated[int, typer.Option("--per_mask", help="Scans for every mask.")] = 1,
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another list that mededit wrote there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Triplets for mededit edit --datalist: scan without lesion, its brain, a test pathology mask."""
    from mededit_monai.cli.given import refuse_unused
    from mededit_monai.datasets.pairing import pair_cases

    if pairing == "paired":
        refuse_unused(context, ("seed",), "applies to --pairing thesis, where scans are drawn")
    facts = pair_cases(datalist, output, pairing, per_mask, seed, overwrite)
    if as_json:
        print(json.dumps({"written": output, **facts}))
        return
    print(
        f"{output}: {facts['triplets']} triplets with {facts['priors_used']} scans; the mask lies partly outside the "
        f"brain in {facts['partly_outside']}, by more than 10 % in {facts['warnings']}"
    )


def slices_command(
    cohort: Annotated[str, typer.Option(help="Simulated cohort of volumes.")],
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder of the slices.")],
    overwrite: Overwrite = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Of every volume of a cohort the axial slice with the most lesion, to be evaluated as slices are."""
    from mededit_monai.datasets.cut import cut_cohort

    counts = cut_cohort(cohort, output_dir, overwrite, progress)
    if as_json:
        print(json.dumps({"written": f"{output_dir}/datalist.json", "synthetic": True, **counts}))
        return
    print(f"{output_dir}/datalist.json: {', '.join(f'{count} {split}' for split, count in counts.items())} slices")


def _prepare(source: str, given: dict[str, Any]) -> None:
    from mededit_monai.core.errors import say
    from mededit_monai.datasets.prepare_dataset import prepare_dataset
    from mededit_monai.datasets.recipe import DatasetRecipe
    from mededit_monai.simulation.pool import worker_count

    names = ("output_dir", "workers", "skip_bad", "strict", "overwrite", "progress", "as_json")
    run = {key: given.pop(key) for key in names}
    done = prepare_dataset(
        DatasetRecipe(source, **given),
        run["output_dir"],
        worker_count(run["workers"]),
        run["skip_bad"],
        run["progress"],
        run["strict"],
        run["overwrite"],
    )
    facts = done.facts
    if run["as_json"]:
        print(json.dumps({"datalist": str(done.datalist), "made": done.made, "found": done.found, **facts}))
        return
    for name, sentences in facts["volumes"]["left_out"].items():
        say(f"left out {name}: {sentences[0]}")
    splits = ", ".join(f"{counts['with_pathology']} {split}" for split, counts in facts["splits"].items())
    print(
        f"{done.datalist}: {splits} {facts['unit']} with pathology, {facts['cases']['lesion_free']} without lesion, of "
        f"{facts['volumes']['used']} of {facts['volumes']['found']} volumes ({done.made} made now, {done.found} found "
        f"done); look at {done.datalist.with_name('report.html')}"
    )

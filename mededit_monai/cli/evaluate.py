# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit evaluate`: a thin call that makes the thesis's tables on a cohort."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS
from mededit_monai.cluster.where import HELP


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "evaluate",
        context_settings=SETTINGS,
        epilog="Example: mededit evaluate --cohort out/cohort --table 5.1 --table 5.4 -o out/evaluation",
    )(evaluate_command)


def evaluate_command(
    cohort: Annotated[str, typer.Option(help="Folder of mededit simulate or mededit dataset, slices or volumes.")],
    table: Annotated[list[str], typer.Option(help="5.1 … 5.8, all, or a YAML file; may be repeated.")],
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Run again with it to go on.")],
    bundle: Annotated[
        str | None,
        typer.Option(help="stroke, tumor, a bundle's folder, or hf:ORG/NAME; default: the cohort's disease."),
    ] = None,
    pairing: Annotated[
        str, typer.Option(help="thesis (scan and mask at random), paired (truth known) or both; volumes: paired.")
    ] = "both",
    preset: Annotated[
        str,
        typer.Option(help="quick (36 masks, to try), every (as quick, all test masks) or full (the thesis's size)."),
    ] = "quick",
    limit: Annotated[int | None, typer.Option(help="At most so many triplets a pairing.")] = None,
    steps: Annotated[int | None, typer.Option(help="Noise levels in place of the preset's.")] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: edit every n-th case from the i-th and stop.")] = None,
    cluster: Annotated[str | None, typer.Option(help=HELP)] = None,
    judge: Annotated[
        str | None, typer.Option(help="Folder of mededit judge train; default: the shipped judge.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="imagenet, or weights of RadImageNet's ResNet50: realism by their features too.")
    ] = None,
    config: Annotated[list[str] | None, typer.Option(help="Overlay of the bundle's files; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same triplets and noise.")] = 0,
    batch_size: Annotated[int, typer.Option("--batch_size", help="Cases edited at a time.")] = 16,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one.")] = None,
    report: Annotated[bool, typer.Option("--report/--no_report", help="Write report.html.")] = True,
    html: Annotated[
        bool,
        typer.Option(
            "--html", help="Pages to look at the best, median and worst case of every row: some MB and seconds each."
        ),
    ] = False,
    progress: Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bars.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tables of the thesis on a cohort: every method's edits, scores with intervals, paired tests, a report."""
    from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate

    options = EvaluationOptions(
        cohort=cohort,
        tables=tuple(table),
        output=output_dir,
        bundle=bundle,
        pairing=pairing,
        preset=preset,
        limit=limit,
        steps=steps,
        shard=shard,
        cluster=cluster,
        judge=judge,
        features=features,
        configs=tuple(config or ()),
        seed=seed,
        batch_size=batch_size,
        device=device,
        progress=progress,
        report=report,
        html=html,
    )
    written = evaluate(options)
    if written is None:
        sentence = f"share {shard} is edited; run the command without --shard when all are, to score"
        if shard is not None:
            facts = {"output_dir": options.output, "shard": shard}
            print(json.dumps(facts) if as_json else f"{options.output}: {sentence}")
        return
    page = Path(options.output) / "report.html"
    if as_json:
        facts = {"synthetic": True, "written": [str(path) for path in written]}
        print(json.dumps(facts | ({"report": str(page)} if page.is_file() else {})))
        return
    for path in written:
        print(f"{path.with_suffix('.md')}")
    print(f"{options.output}: look at {'report.html' if page.is_file() else 'the tables'}; all edits are synthetic")

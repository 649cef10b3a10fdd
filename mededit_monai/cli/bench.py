# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit bench`: a thin call that measures speed against quality."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    app.command(
        "bench",
        context_settings=SETTINGS,
        epilog="Example: mededit bench --cohort out/cohort --preset quick -o out/bench",
    )(bench_command)


def bench_command(
    cohort: Annotated[str, typer.Option(help="Folder of mededit simulate: the truth must be known.")],
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Run again with it to go on.")],
    bundle: Annotated[
        str | None,
        typer.Option(help="stroke, tumor, a bundle's folder, or hf:ORG/NAME; default: the cohort's disease."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="quick (up to 100 evaluations an edit, 12 cases) or full (all rows).")
    ] = "full",
    cases: Annotated[int | None, typer.Option(help="Cases a row, in place of the preset's.")] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="Only this row, series or group of configs/bench.yaml; may be repeated.")
    ] = None,
    rows_file: Annotated[
        str | None, typer.Option("--rows_file", help="Another file in the form of configs/bench.yaml.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Folder of mededit judge train; default: the shipped judge.")
    ] = None,
    config: Annotated[list[str] | None, typer.Option(help="Overlay of the bundle's files; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same cases and noise.")] = 0,
    batch_size: Annotated[int, typer.Option("--batch_size", help="Cases edited at a time.")] = 16,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one.")] = None,
    speed: Annotated[bool, typer.Option("--speed/--no_speed", help="Time start-up, training and networks too.")] = True,
    progress: Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bars.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Every family, sampler and number of evaluations on the same cases: seconds, memory, quality, no worse or not."""
    from mededit_monai.evaluation.bench import BenchOptions, bench

    written = bench(
        BenchOptions(
            cohort=cohort,
            output=output_dir,
            bundle=bundle,
            preset=preset,
            cases=cases,
            rows=tuple(row or ()),
            config=rows_file,
            judge=judge,
            configs=tuple(config or ()),
            seed=seed,
            batch_size=batch_size,
            device=device,
            speed=speed,
            progress=progress,
        )
    )
    if as_json:
        print(json.dumps({"synthetic": True, "written": str(written)}))
    else:
        print(f"{written.with_suffix('.md')}, {written.with_suffix('.png')}; all edits are synthetic")

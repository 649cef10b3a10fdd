# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit study`: thin calls that make a reader study, check what raters sent, and analyse it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mededit_monai.cli.generated import SETTINGS

Study = Annotated[str, typer.Option("--study", help="Folder of mededit study make, with key.json.")]
Ratings = Annotated[
    list[str], typer.Argument(metavar="RATINGS...", help="Files that raters saved, JSON or CSV; one a rater.")
]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verb and its parts to the program."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=SETTINGS,
        help="Reader studies: blinded images on one page, ratings checked, their analysis.",
        epilog="Example: mededit study make --evaluation out/evaluation -o out/study",
    )
    for name, function, example in (
        ("make", make_command, "mededit study make --images images.csv --design thesis -o out/study"),
        ("rehearse", rehearse_command, "mededit study rehearse --study out/study --skill 0.8 -o out/rehearsal"),
        ("check", check_command, "mededit study check ratings_*.json --study out/study"),
        ("analyse", analyse_command, "mededit study analyse ratings_*.json --study out/study -o out/readers"),
    ):
        group.command(name, context_settings=SETTINGS, epilog=f"Example: {example}")(function)
    app.add_typer(group, name="study")


def make_command(
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder of the page and its key.")],
    images: Annotated[
        str | None, typer.Option(help="CSV file: case, arm, image; perhaps prior, mask, stratum, patient.")
    ] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Folder of mededit evaluate instead; its rows are the arms.")
    ] = None,
    cohort: Annotated[
        str | None, typer.Option(help="With --evaluation: where the real images are; default: its own pairs.")
    ] = None,
    pairing: Annotated[
        str | None, typer.Option(help="With --evaluation: thesis or paired; default: the first that there is.")
    ] = None,
    design: Annotated[str, typer.Option(help="thesis, med_ddpm or a YAML file.")] = "thesis",
    per_arm: Annotated[
        int | None, typer.Option("--per_arm", help="Images of each arm, in place of the design's.")
    ] = None,
    rater: Annotated[
        list[str] | None, typer.Option(help="Name of a rater, may be repeated; in place of the design's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of choice, codes and orders; raters must not know it.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Choose images, blind and shuffle them, and write one page for the raters and the key for yourself."""
    from mededit_monai.reader_study.make import make_study

    facts = make_study(design, output_dir, images, evaluation, cohort, pairing, per_arm, rater, seed)
    if as_json:
        print(json.dumps(facts))
        return
    names = ", ".join(facts["raters"])
    print(
        f"{facts['page']}: {facts['items']} items of {facts['images']} images, for {names}; give them this file alone"
    )
    print(f"{facts['key']}: keep it from them")


def rehearse_command(
    study: Study,
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder of the ratings.")],
    skill: Annotated[float, typer.Option(help="Share of answers that are the truth; the others are guessed.")] = 0.8,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Ratings of simulated raters of known skill, to see what the analysis makes of them before anybody is asked."""
    from mededit_monai.reader_study.rehearse import rehearse

    written = rehearse(study, output_dir, skill, seed)
    if as_json:
        print(json.dumps({"written": [str(path) for path in written], "simulated": True, "skill": skill}))
        return
    for path in written:
        print(f"{path}: simulated")


def check_command(ratings: Ratings, study: Study, as_json: AsJson = False) -> None:
    """Are the files complete, of this study and of different raters? A sentence for each that is not; exit code 2."""
    from mededit_monai.reader_study.ratings import check_ratings

    found = check_ratings(ratings, study)
    if as_json:
        print(json.dumps(found))
        return
    for rater, count in found["raters"].items():
        print(f"{rater}: {count} ratings, complete")
    if found["missing"]:
        print(f"not there yet: {', '.join(found['missing'])}")


def analyse_command(
    ratings: Ratings,
    study: Study,
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Folder of report, tables and results.")],
    evaluation: Annotated[
        str | None, typer.Option(help="Folder of mededit evaluate, whose FID and Dice stand beside.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of bootstrap and permutations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Means with intervals, tests, agreement, the size of the next study, and the published figures beside."""
    from mededit_monai.reader_study.analyse import analyse

    content = analyse(ratings, study, output_dir, evaluation, seed)
    if as_json:
        print(json.dumps({"written": f"{output_dir}/results.json", "means": content["means"]}))
        return
    print(content["summary"])
    print(f"{output_dir}: look at report.html")

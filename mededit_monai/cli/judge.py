# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit judge`: thin calls that train a judge and let it look at images."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mededit_monai.cli.generated import SETTINGS

Kind = Annotated[str, typer.Option("--judge", help="embedded (ships with the package) or nnunet (extra 'nnunet').")]
Output = Annotated[str, typer.Option("--output_dir", "-o", help="Folder that is written; of nnunet: its cache.")]
DiseaseName = Annotated[str | None, typer.Option("--disease", help="stroke or tumor; default: what the cohort says.")]
Trainer = Annotated[str, typer.Option(help="nnunet: short (CPU), thesis (200 epochs, GPU), or one of nnU-Net's own.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: a GPU if there is one.")]
Workers = Annotated[int, typer.Option(help="nnunet: processes.")]
Seed = Annotated[int, typer.Option(help="embedded: same seed, same training.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace masks and tables that were changed by hand.")]
Progress = Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bar.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JUDGES = ("embedded", "nnunet")


def register(app: typer.Typer) -> None:
    """Add the verb and its parts to the program."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=SETTINGS,
        help="Networks that look at images: train one, or let one find lesions, ventricles, tissue.",
        epilog="Example: mededit judge predict --images out/edits --disease stroke -o out/judged",
    )
    for name, function, example in (
        ("train", train_command, "mededit judge train --cohort out/cohort --max_epochs 20 -o out/judge"),
        ("predict", predict_command, "mededit judge predict --images out/edits --disease stroke -o out/judged"),
    ):
        group.command(name, context_settings=SETTINGS, epilog=f"Example: {example}")(function)
    app.add_typer(group, name="judge")


#: Options of one kind of judge alone.
EMBEDDED_ONLY = ("learning_rate", "init_weights", "seed", "resume")
NNUNET_ONLY = ("iterations", "trainer", "workers")


def train_command(
    context: typer.Context,
    cohort: Annotated[str, typer.Option(help="Folder of mededit simulate; nnunet: any folder with datalist.json.")],
    output_dir: Output,
    judge: Kind = "embedded",
    disease: DiseaseName = None,
    max_epochs: Annotated[int, typer.Option("--max_epochs", help="Passes over the training split.")] = 20,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch_size", help="Images a step, of nnunet short at most; default: 16 slices, 2 volumes."),
    ] = None,
    learning_rate: Annotated[float, typer.Option("--learning_rate", help="embedded: at the start.")] = 0.002,
    iterations: Annotated[int, typer.Option(help="nnunet short: iterations an epoch.")] = 50,
    trainer: Trainer = "short",
    init_weights: Annotated[
        str | None, typer.Option("--init_weights", help="embedded: weights of a judge of either disease to start from.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no_resume", help="embedded: go on from the last checkpoint.")
    ] = True,
    seed: Seed = 0,
    device: Device = None,
    workers: Workers = 1,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Train a judge on a simulated cohort, and measure it on anatomies it has not seen. Run again, it goes on."""
    from mededit_monai.cli.given import refuse_unused
    from mededit_monai.core.errors import require_choice
    from mededit_monai.core.paths import user_path

    require_choice("judge", judge, JUDGES)
    if judge == "nnunet":
        refuse_unused(context, EMBEDDED_ONLY, "applies to --judge embedded, not to nnunet")
        if trainer != "short":
            refuse_unused(
                context, ("max_epochs", "iterations", "batch_size"), f"applies to --trainer short, not to {trainer}"
            )
        from mededit_monai.judges.nnunet import NNUNetFolder, train_nnunet, validation_dice
        from mededit_monai.judges.samples import cohort_disease

        batch = 16 if batch_size is None else batch_size
        folder = NNUNetFolder(user_path(output_dir), trainer, max_epochs, iterations, device, workers, batch)
        place = user_path(cohort)
        model = train_nnunet(place / "datalist.json", folder, cohort_disease(place, disease))
        summary, dice = validation_dice(model)
        facts = {"model": str(model), "trainer": folder.trainer_class, "epochs": max_epochs, "validation_dice": dice}
        print(json.dumps(facts) if as_json else f"{model}: Dice {dice:.3f} on the validation list ({summary})")
        return
    refuse_unused(context, NNUNET_ONLY, "applies to --judge nnunet, not to embedded")
    from mededit_monai.judges.train_judge import JudgeOptions, train_judge

    options = JudgeOptions(max_epochs, batch_size, learning_rate, seed=seed)
    found = train_judge(cohort, output_dir, options, disease, resume, progress, device, init_weights)
    if as_json:
        print(json.dumps({"judge": found.name, "output_dir": output_dir, "ceiling": found.ceiling}))
        return
    for name, score in found.ceiling.items():
        print(
            f"{name}: Dice {score['value']:.3f} ({score['low']:.3f} … {score['high']:.3f})" if score else f"{name}: –"
        )
    print(f"{output_dir}: {found.name}; look at {output_dir}/held_out.md and held_out.png")


def predict_command(
    context: typer.Context,
    images: Annotated[str, typer.Option(help="Folder of edits, folder of slices, a NIfTI file, or a datalist.")],
    output_dir: Output,
    judge: Kind = "embedded",
    disease: DiseaseName = None,
    weights: Annotated[
        str | None, typer.Option(help="Folder of a training; default: the shipped judge (nnunet: needed).")
    ] = None,
    trainer: Trainer = "short",
    device: Annotated[str | None, typer.Option(help="nnunet: cpu or cuda; default: a GPU if there is one.")] = None,
    overwrite: Overwrite = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Find lesion (tumour regions), ventricles and tissue on edited slices: masks, areas and a picture."""
    from mededit_monai.cli.given import refuse_unused
    from mededit_monai.core.errors import InputError, require_choice
    from mededit_monai.core.paths import user_path
    from mededit_monai.judges.judge_files import judge_images

    require_choice("judge", judge, JUDGES)
    if judge == "nnunet":
        from mededit_monai.judges.nnunet import NNUNetFolder, NNUNetJudge

        if weights is None:
            raise InputError("--weights: is missing; give the folder that mededit judge train --judge nnunet wrote.")
        found: Any = NNUNetJudge(NNUNetFolder(user_path(weights), trainer, device=device))
        if disease not in (None, found.disease):
            raise InputError(
                f"--disease: got '{disease}', but {weights} is a judge of '{found.disease}'; leave it out."
            )
        facts = {"judge": found.name, "disease": found.disease}
    else:
        refuse_unused(context, ("trainer",), "applies to --judge nnunet, not to embedded")
        if device != "cpu":
            refuse_unused(context, ("device",), "applies to --judge nnunet; the embedded judge runs on the CPU")
        from mededit_monai.judges.embedded import load_judge

        if disease is None:
            raise InputError("--disease: is missing; wanted stroke or tumor, whose judge shall look.")
        found = load_judge(disease, weights)
        facts = {"judge": found.name, "disease": disease, "ceiling": found.ceiling}
    content = judge_images(images, output_dir, found.segment, facts, progress, overwrite)
    if as_json:
        print(json.dumps({**facts, "output_dir": output_dir, "areas_mm2": content["areas_mm2"]}))
        return
    print(f"{output_dir}: {len(content['areas_mm2'])} images judged; look at {output_dir}/preview.png, areas.csv")

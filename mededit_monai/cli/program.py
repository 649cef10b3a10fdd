# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit`: thin verbs over the bundles. Heavy imports wait until a verb runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mededit_monai import __version__
from mededit_monai.cli import bench, dataset, evaluate, judge, simulate
from mededit_monai.core.errors import InputError
from mededit_monai.core.program import run_program, use_utf8

# --slice-index is the same as --slice_index; a misspelt option is refused with the nearest known one, exit code 2.
SETTINGS = {"token_normalize_func": lambda name: name.replace("-", "_"), "help_option_names": ["-h", "--help"]}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Counterfactual editing of brain MRI: the same brain with a given lesion. Research use only.",
    epilog="Example: mededit edit --scan T1.nii.gz --pathology lesion.nii.gz -o out",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mededit_monai {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


@app.command(
    "edit",
    context_settings=SETTINGS,
    epilog="Example: mededit edit --scan T1.nii.gz --pathology lesion.nii.gz --brain brain.nii.gz -o out",
)
def edit_command(
    scan: Annotated[str | None, typer.Option(help="T1 without the lesion, 3-D NIfTI in any orientation.")] = None,
    pathology: Annotated[
        str | None, typer.Option(help="Lesion mask on the scan's grid; tumours: labels 1, 2, 3 (or 4) too.")
    ] = None,
    brain: Annotated[str | None, typer.Option(help="Brain mask; not needed if the scan is skull-stripped.")] = None,
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Gets a folder per case.")] = "out/edits",
    bundle: Annotated[str, typer.Option(help="stroke, tumor or a bundle's folder.")] = "stroke",
    condition: Annotated[
        str | None, typer.Option(help="What the model is told of the lesion: mask, box or regions (tumours).")
    ] = None,
    datalist: Annotated[str | None, typer.Option(help="JSON with many cases instead of --scan.")] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: only every n-th case, from the i-th.")] = None,
    weights: Annotated[str | None, typer.Option(help="Other weights than the bundle's.")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="prior (default), mededit, naive_repaint, sdedit, palette or palette_original."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="dilate, auto, brain, pathology or a mask file.")] = None,
    dilation: Annotated[int | None, typer.Option("--dilation", help="Kernel k in model pixels.")] = None,
    sampler: Annotated[str | None, typer.Option(help="ddpm, ddim or dpm2m.")] = None,
    eta: Annotated[float | None, typer.Option(help="Noise of ddim: 0 none, 1 as ddpm.")] = None,
    spacing: Annotated[str | None, typer.Option(help="t or logsnr.")] = None,
    steps: Annotated[int | None, typer.Option(help="Noise levels.")] = None,
    resample: Annotated[int | None, typer.Option(help="U: times a level is denoised.")] = None,
    jump: Annotated[int | None, typer.Option(help="Levels to go back at a resampling.")] = None,
    resample_above: Annotated[
        float | None, typer.Option("--resample_above", help="Fraction of T below which no level is resampled.")
    ] = None,
    start: Annotated[float | None, typer.Option(help="Fraction of T to begin at.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Lesion strength; 1 = off.")] = None,
    mode: Annotated[str | None, typer.Option(help="corrected, or paper: four steps of the authors' release.")] = None,
    samples: Annotated[int | None, typer.Option(help="Edits a case; their s.d. is no map of uncertainty.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same noise.")] = None,
    slice_index: Annotated[str | None, typer.Option("--slice_index", help="RAS axial: index, auto or all.")] = None,
    restore: Annotated[str | None, typer.Option(help="residual or replace.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Same bytes whatever the batch.")] = False,
    batch_size: Annotated[int | None, typer.Option("--batch_size", help="Cases edited at a time.")] = None,
    num_workers: Annotated[int | None, typer.Option("--num_workers", help="Processes that read cases.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …; default: a GPU if there is one.")] = None,
    amp: Annotated[str | None, typer.Option(help="fp16 or bf16: half precision, on a GPU.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would be done with a warning.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep_going", help="A case that fails does not stop the others; see failed.json.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the result of another scan, or one that was changed by hand.")
    ] = False,
    progress: Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bar.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Add a lesion to a scan: NIfTI in, same-grid NIfTI out. Defaults are the bundle's."""
    options = {k: v for k, v in locals().items() if k != "as_json" and v is not None}
    if slice_index is not None and slice_index.removeprefix("-").isdecimal():
        options["slice_index"] = int(slice_index)
    options["progress"] = progress and sys.stderr.isatty()
    _run(options, as_json)


def _run(options: dict[str, Any], as_json: bool) -> None:
    from mededit_monai.workflows import edit

    written = edit(**options)
    if as_json:
        print(json.dumps({"synthetic": True, "written": [str(folder) for folder in written]}))
        return
    for folder in written:
        print(f"{folder}: look at {folder / 'preview.png'}, load {_edited(folder)}")
    if not written:
        print("nothing to do: every case is done with these options.")


def _edited(folder: Path) -> Path:
    single = folder / "edited.nii.gz"
    return single if single.is_file() else folder / "mean.nii.gz"


@app.command(
    "train",
    context_settings=SETTINGS | {"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: mededit train --config configs/thesis.yaml --datalist cases.json --max_epochs 100 -o out/training",
)
def train_command(
    context: typer.Context,
    bundle: Annotated[str, typer.Option(help="stroke, tumor or a bundle's folder.")] = "stroke",
    config: Annotated[list[str] | None, typer.Option(help="Overlay of train.yaml; may be repeated.")] = None,
    output_dir: Annotated[str, typer.Option("--output_dir", "-o", help="Run again with it to go on.")] = "out/training",
    progress: Annotated[bool, typer.Option("--progress/--no_progress", help="Progress bar.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a bundle. Any option of its train.yaml can be given as --name value."""
    import logging

    from mededit_monai.workflows import PATH_OPTIONS, train

    options: dict[str, Any] = {}
    words = list(context.args)
    while words:
        name = words.pop(0)
        if not name.startswith("--") or not words and "=" not in name:
            raise InputError(f"{name}: is not an option with a value; options of train.yaml are given as --name value.")
        name, equals, value = name.removeprefix("--").partition("=")
        name, value = name.replace("-", "_"), value if equals else words.pop(0)
        if name in options:
            raise InputError(f"--{name}: was given twice; give it once.")
        options[name] = value if name in PATH_OPTIONS else _value(name, value)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = train(bundle, config or (), output_dir=output_dir, progress=progress, **options)
    if as_json:
        print(json.dumps({"output_dir": str(folder), "weights": str(folder / "model.pt")}))
    else:
        print(f"{folder}: weights model.pt, curves progress.png, table history.csv")


def _value(name: str, text: str) -> Any:
    """A number, list, word or text as YAML has them."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(
            f"--{name}: got '{text}', which is no YAML; quote it, or give a number, a word or a list."
        ) from error


@app.command(
    "lesion",
    context_settings=SETTINGS,
    epilog="Example: mededit lesion --scan T1.nii.gz --centre 38 -24 23 --radius 14 -o lesion.nii.gz",
)
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


@app.command("info", context_settings=SETTINGS, epilog="Example: mededit info --bundle stroke --json")
def info_command(
    bundle: Annotated[str, typer.Option(help="stroke, tumor or a bundle's folder.")] = "stroke",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """What a bundle is: version, task, weights and their SHA-256."""
    from mededit_monai.core.paths import bundle_root
    from mededit_monai.io.provenance import sha256

    root = bundle_root(bundle)
    metadata = json.loads((root / "configs" / "metadata.json").read_bytes())
    weights = {p.name: sha256(p) for p in sorted((root / "models").glob("*.pt"))}
    facts = {"bundle": root.name, "version": metadata["version"], "task": metadata["task"], "weights": weights}
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            value = "".join(f"\n  {name}  {digest}" for name, digest in value.items())
        print(f"{key}: {value}")


simulate.register(app, SETTINGS)
dataset.register(app, SETTINGS)
judge.register(app, SETTINGS)
evaluate.register(app, SETTINGS)
bench.register(app, SETTINGS)


def main() -> None:
    """Console entry: one sentence and an exit code for whatever ends a verb; see :mod:`mededit_monai.core.program`."""
    use_utf8()
    run_program(_run_verb)


INTERRUPTED = 130


def _run_verb() -> None:
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):  # typer brings its own click, or not
            raise
        error.show()  # an option that is not offered: click's own sentence
        sys.exit(error.exit_code)
    if code == INTERRUPTED:  # typer's way of passing Ctrl-C on
        raise KeyboardInterrupt
    sys.exit(code if isinstance(code, int) else 0)

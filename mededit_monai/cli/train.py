# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit train`: a bundle's training."""

from __future__ import annotations

import inspect
import json
from functools import partial
from typing import Annotated, Any

import typer

from mededit_monai.cli.generated import BUNDLE, JSON, add_verb, parameter
from mededit_monai.core.errors import InputError
from mededit_monai.core.options import options_of
from mededit_monai.training.options import TrainingOptions, own_training_options

#: Options of the verb itself; all others are given as text, which is read as YAML has it: numbers, words and lists.
OF_THE_VERB = ("output_dir", "progress")


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    declared = {name: one for name, one in options_of(TrainingOptions).items() if one.verb}
    Overlays = Annotated[
        list[str] | None,
        typer.Option("--config", help="Overlay of train.yaml, a path or one of the bundle's own; may be repeated."),
    ]
    keyword = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    typed = [
        keyword("context", annotation=typer.Context),
        parameter(BUNDLE),
        keyword("config", annotation=Overlays, default=None),
        *(parameter(one, as_text=True) for name, one in declared.items() if name not in OF_THE_VERB),
        *(parameter(one, as_text=True) for one in own_training_options().values()),
    ]
    add_verb(
        app,
        "train",
        [*(declared[name] for name in OF_THE_VERB), JSON],
        train_command,
        "Train a bundle. Any other item of its train.yaml can be given as --section#key value.",
        "mededit train --config configs/thesis.yaml --datalist cases.json --max_epochs 100 -o out",
        typed,
    )


def train_command(given: dict[str, Any]) -> None:
    """Train, and say where the weights are."""
    from mededit_monai.training.folder import BEST_WEIGHTS, LAST_WEIGHTS
    from mededit_monai.workflows import train

    words, bundle, overlays = given.pop("context").args, given.pop("bundle"), given.pop("config", ())
    declared = options_of(TrainingOptions) | own_training_options()
    as_json, files = given.pop("json"), {name for name, one in declared.items() if one.file}
    texts = {name: value for name, value in given.items() if name not in OF_THE_VERB}
    _further(list(words), texts)
    for name, values in texts.items():
        if len(values) > 1:
            raise InputError(f"--{name}: was given twice; give it once.")
    options = {name: text if name in files else _value(name, text) for name, (text,) in texts.items()}
    folder = train(bundle, overlays, **{name: given[name] for name in OF_THE_VERB}, **options)
    weights = BEST_WEIGHTS if (folder / BEST_WEIGHTS).is_file() else LAST_WEIGHTS
    if as_json:
        print(json.dumps({"output_dir": str(folder), "weights": str(folder / weights)}))
    else:
        print(f"{folder}: weights {weights}, curves progress.png, table history.csv")


def _further(words: list[str], texts: dict[str, list[str]]) -> None:
    """Add what else stands on the line, in pairs of --name and value."""
    while words:
        name = words.pop(0)
        if not name.startswith("--") or not words and "=" not in name:
            switch = " A switch takes no value: --no_progress." if name.lower() in ("true", "false") else ""
            raise InputError(
                f"{name}: is not an option with a value; options of train.yaml are given as --name value.{switch}"
            )
        name, equals, value = name.removeprefix("--").partition("=")
        texts.setdefault(name.replace("-", "_"), []).append(value if equals else words.pop(0))


def _value(name: str, text: str) -> Any:
    """A number, list, word or text as YAML has them."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(
            f"--{name}: got '{text}', which is no YAML; quote it, or give a number, a word or a list."
        ) from error

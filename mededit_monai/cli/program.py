# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit`: thin verbs over the bundles. Heavy imports wait until a verb runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mededit_monai import __version__
from mededit_monai.cli import (
    bench,
    dataset,
    doctor,
    downstream,
    edit,
    evaluate,
    export,
    info,
    judge,
    lesion,
    prepare,
    recovery,
    simulate,
    study,
    synthesize,
    train,
    view,
)
from mededit_monai.cli.generated import SETTINGS
from mededit_monai.cli.given import GivenOnce
from mededit_monai.cli.loud import add_loudness, commands_of
from mededit_monai.core.program import run_program, use_utf8


def make_app() -> typer.Typer:
    """The program with all verbs. Made when it runs: verbs take the options of plugins too, and one may be broken."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=SETTINGS,
        help="Counterfactual editing of brain MRI: the same brain with a given lesion. Research use only.",
        epilog="Example: mededit edit --scan T1.nii.gz --pathology lesion.nii.gz -o out",
    )
    app.callback()(_root)
    verbs = (edit, view, train, synthesize, prepare, lesion, info, simulate, dataset, judge, evaluate, bench)
    for verb in (*verbs, downstream, recovery, study, export, doctor):
        verb.register(app)
    add_loudness(app, but=("info", "doctor"))
    for command in commands_of(app):
        if not issubclass(command.cls, GivenOnce):
            command.cls = GivenOnce
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mededit_monai {__version__}")
        raise typer.Exit()


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Console entry: one sentence and an exit code for whatever ends a verb; see :mod:`mededit_monai.core.program`."""
    use_utf8()
    run_program(_run_verb)


INTERRUPTED = 130


def _run_verb() -> None:
    try:
        code = make_app()(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # which typer makes exit code 1 of
            raise ended.__context__ from None
        raise
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):  # typer brings its own click, or not
            raise
        error.show()  # an option that is not offered: click's own sentence
        sys.exit(error.exit_code)
    if code == INTERRUPTED:  # typer's way of passing Ctrl-C on
        raise KeyboardInterrupt
    sys.exit(code if isinstance(code, int) else 0)

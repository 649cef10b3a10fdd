# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""``--verbose`` and ``--quiet`` for the verbs that run something."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from mededit_monai.core.errors import InputError
from mededit_monai.core.loudness import loudness

VERBOSE = Annotated[bool, typer.Option("--verbose", help="Say what MONAI and Ignite log, too.")]
QUIET = Annotated[bool, typer.Option("--quiet", help="Say errors and the result alone: no progress, no warnings.")]

_MORE = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
    for name, annotation in (("verbose", VERBOSE), ("quiet", QUIET))
]


def add_loudness(app: typer.Typer, but: tuple[str, ...] = ()) -> None:
    """Give every verb of a program, and every part of one, the two options; but: verbs that only look."""
    for command in commands_of(app):
        if command.name not in but:
            command.callback = _loud(command.callback)


def commands_of(app: typer.Typer) -> Iterator[Any]:
    """Every verb of a program, and every part of one, as typer keeps them."""
    yield from app.registered_commands
    for group in app.registered_groups:
        yield from commands_of(group.typer_instance)


def _loud(run: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that takes the two options; it shows its progress on a terminal alone, and not if it is to be quiet."""
    signature = inspect.signature(run, eval_str=True)

    @functools.wraps(run)
    def verb(*, verbose: bool, quiet: bool, **given: Any) -> Any:
        if verbose and quiet:
            raise InputError("--verbose: was given together with --quiet; give one or the other.")
        if "progress" in given:
            given["progress"] = given["progress"] and not quiet and sys.stderr.isatty()
        with loudness("verbose" if verbose else "quiet" if quiet else "default"):
            return run(**given)

    parameters = [*signature.parameters.values(), *_MORE]
    verb.__signature__ = signature.replace(  # type: ignore[attr-defined] - typer reads both
        parameters=[one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    )
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    return verb

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Verbs of the command line made from a dataclass of options."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mededit_monai.cli.given import GivenOnce
from mededit_monai.core.options import Option, options_of
from mededit_monai.methods.edit_options import EditOptions

#: --slice-index is the same as --slice_index; a misspelt option is refused with the nearest known one, exit code 2.
SETTINGS = {"token_normalize_func": lambda name: name.replace("-", "_"), "help_option_names": ["-h", "--help"]}

#: Options whose default typer states itself: those of verbs, which no bundle can set.
STATED = ("bundle", "output_dir")

BUNDLE = Option(name="bundle", help="stroke, tumor, a bundle's folder, or hf:ORG/NAME.", default="stroke")
#: Help of ``--echo``.
ECHO = options_of(EditOptions)["echo"].help

JSON = Option(name="json", help="Print the result as JSON.", kind=bool, default=False)


def add_verb(
    app: typer.Typer,
    name: str,
    options: Iterable[Option],
    run: Callable[[dict[str, Any]], None],
    help: str,
    example: str,
    typed: Iterable[inspect.Parameter] = (),
) -> None:
    """
    Add a verb to the program.

    Args:
        options: that it offers; one that is not given is left out of what ``run`` is given.
        run: called with what was given, by name.
        help: a sentence; example: a command.
        typed: further parameters, as typer takes them; one of ``typer.Context`` gets what else stands on the line.
    """
    declared = list(options)
    parameters = [*typed, *map(parameter, declared)]

    def verb(**given: Any) -> None:
        run({name: value for name, value in given.items() if value is not None and value != []})

    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] - typer reads both
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    verb.__doc__ = help
    more = {"allow_extra_args": True, "ignore_unknown_options": True} if typed else {}
    lists = frozenset(f"--{one.name}" for one in declared if one.several)
    kind = type("Verb", (ListsCommand,), {"lists": lists}) if lists else GivenOnce
    app.command(name, cls=kind, context_settings=SETTINGS | more, epilog=f"Example: {example}")(verb)


def say_written(
    written: Sequence[Path], as_json: bool, line: Callable[[Path], str], failed: Sequence[Mapping[str, str]] = ()
) -> None:
    """Say where results are, a line each, or as JSON, there with the cases that failed; or that there was nothing."""
    if as_json:
        facts = {"synthetic": True, "written": [str(folder) for folder in written]}
        print(json.dumps(facts | ({"failed": list(failed)} if failed else {})))
        return
    for folder in written:
        print(line(folder))
    if not written and not failed:
        print("nothing to do: every case is done with these options.")


class ListsCommand(GivenOnce):
    """A command with options that take every word up to the next option."""

    lists: frozenset[str] = frozenset()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read a command line."""
        return super().parse_args(ctx, spread_lists(args, self.lists))


def spread_lists(words: Sequence[str], lists: Collection[str]) -> list[str]:
    """``--carry A B`` as ``--carry A --carry B``, which is all that click reads; lists: options that take several."""
    found: list[str] = []
    current, first = "", False
    for word in words:
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            name = "--" + name.lstrip("-").replace("-", "_")
            current, first = name if name in lists else "", not equals
            found.append(word)
        else:
            found += [word] if first or not current else [current, word]
            first = False
    return found


def parameter(one: Option, as_text: bool = False) -> inspect.Parameter:
    """
    An option as typer takes it. What follows from other options, and what a bundle sets, has no default here.

    Args:
        as_text: whether it comes as a list of the texts that stand on the line.
    """
    names = [f"--{one.name}", *([one.short] if one.short else [])]
    if one.kind is bool and one.default is not False and not as_text:
        names = [f"--{one.name}/--no_{one.name}"]
    known = [str(word) for word in one.known() or () if word is not None]
    text = f"{one.help.rstrip('.')} ({', '.join(known)})." if known else one.help
    if one.default is not None and (one.kind is not bool or as_text) and one.name not in STATED:
        text += f" [default: {str(one.default).lower() if one.kind is bool else one.default}]"
    kind = one.kind if one.kind in (int, float, bool) and not one.words else str
    hint: Any = (
        list[str] | None
        if as_text or one.several
        else kind if kind is bool and one.default is not None else kind | None
    )
    shown = None if kind is bool and not as_text else f"<{kind.__name__}>" + (" ..." if one.several else "")
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=one.default if kind is bool and not as_text or one.name in STATED else None,
        annotation=Annotated[hint, typer.Option(*names, help=text, metavar=shown)],
    )

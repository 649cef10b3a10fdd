# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the verbs: one that is given is used or refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand

from mededit_monai.core.errors import InputError


class GivenOnce(TyperCommand):
    """A command that refuses an option that is given twice, of which click takes the last."""

    def make_parser(self, ctx: Any) -> Any:
        """As of any command; what it reads is looked at once more."""
        parser = super().make_parser(ctx)
        read = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            words = {"--" + word.lstrip("-").partition("=")[0].replace("-", "_") for word in args if word[:2] == "--"}
            found = read(args)
            order = found[2]
            for one in dict.fromkeys(order):
                if order.count(one) > 1 and not _harmless(one, words):
                    name = next((opt for opt in one.opts if opt.startswith("--")), one.opts[0])
                    raise InputError(f"{name}: was given twice; give it once.")
            return found

        parser.parse_args = parse_args
        return parser


def _harmless(one: Any, words: set[str]) -> bool:
    """Whether an option may be given twice: it takes several values, or is a switch that says the same both times."""
    if getattr(one, "multiple", False):
        return True
    return getattr(one, "is_flag", False) and not (words & set(one.opts) and words & set(one.secondary_opts))


def given_words(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Those of the options that stand on the command line, whatever their defaults are."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def refuse_unused(context: typer.Context, names: Iterable[str], reason: str) -> None:
    """
    Refuse options that this call would have no use for.

    Args:
        names: of the verb's parameters.
        reason: what they apply to, or why they do not here; follows 'but it'.

    Raises:
        InputError: names the first one that stands on the command line, with its value.
    """
    for name in given_words(context, names):
        raise InputError(f"--{name}: got {context.params.get(name)!r}, but it {reason}; leave it out.")

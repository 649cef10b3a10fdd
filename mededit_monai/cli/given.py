# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the verbs: one that is given is used or refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from mededit_monai.core.errors import InputError


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

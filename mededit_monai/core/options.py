# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Options, declared once: a typed dataclass of them is the command line, the block in a bundle's YAML, what is checked,
and the page of the reference.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mededit_monai.core.errors import InputError, require_choice, require_number, require_whole

#: Upper bounds from here on only keep nonsense out; readers need not know them.
LARGE = 10**7


@dataclass(frozen=True)
class Option:
    """
    What is known of an option, whoever sets it.

    Args:
        name: with underscores, on the command line, in YAML and in Python.
        help: a phrase or two, with a full stop.
        kind: str, int, float or bool.
        default: where it is not given; None: what it is then follows from other options.
        choices: the words that it can be, or a function that gives them.
        least, most: bounds of a number.
        words: what a number can be instead.
        group: heading in YAML and in the reference.
        recorded: whether it decides the result, and is written to the provenance.
        file: whether it names a file or folder.
        several: whether it is a list of texts, such as files.
        verb: whether the command line offers it by name; any other stays an option of the YAML.
        yaml: its value in the YAML where that is computed there.
        short: one-letter name.
    """

    name: str
    help: str
    kind: type = str
    default: Any = None
    choices: Sequence[Any] | Callable[[], Sequence[Any]] | None = None
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    group: str = ""
    recorded: bool = False
    file: bool = False
    several: bool = False
    verb: bool = True
    yaml: str | None = None
    short: str | None = None

    def known(self) -> tuple[Any, ...] | None:
        """The words that it can be; None: there is no list."""
        return None if self.choices is None else tuple(self.choices() if callable(self.choices) else self.choices)

    def check(self, value: Any) -> None:
        """
        Refuse a value that the option cannot have. None, not given, will do where it is the default.

        Raises:
            InputError: names the option, the value found and the values wanted.
        """
        if (value is None and self.default is None) or (self.words and value in self.words):
            return
        known = self.known()
        if self.several:
            texts = isinstance(value, (list, tuple)) and all(isinstance(one, str) and one.strip() for one in value)
            if not texts or not value:
                raise InputError(f"--{self.name}: got {value!r}, wanted one or several files; give their paths.")
        elif known is not None:
            require_choice(self.name, value, known)
        elif self.kind is bool:
            require_choice(self.name, value, (True, False))
        elif self.words:
            if not isinstance(value, int) or isinstance(value, bool):
                wanted = " or ".join(repr(word) for word in self.words)
                raise InputError(f"--{self.name}: got {value!r}, wanted a whole number or {wanted}.")
        elif self.kind is int:
            require_whole(self.name, value, int(self.least or 0), most=None if self.most is None else int(self.most))
        elif self.kind is float and self.least is not None and self.most is not None:
            require_number(self.name, value, self.least, self.most)


def option(default: Any, help: str, **facts: Any) -> Any:
    """A field of a dataclass of options; facts as for :class:`Option`."""
    return field(default=default, metadata={"option": {"help": help, **facts}})


def options_of(declared: type) -> dict[str, Option]:
    """The options of a dataclass whose fields were made with :func:`option`, by name."""
    hints = typing.get_type_hints(declared)
    found = {}
    for one in dataclasses.fields(declared):
        if "option" in one.metadata:
            facts = {"kind": _kind(hints[one.name]), **one.metadata["option"]}
            found[one.name] = Option(name=one.name, default=one.default, **facts)
    return found


def _kind(hint: Any) -> type:
    """The type of a field, without None and further types behind it."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    return hint if isinstance(hint, type) else str


def refuse_unknown(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """
    Refuse options that are none.

    Raises:
        InputError: names the nearest, or all known ones.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(known))}."
            raise InputError(f"--{name}: {what} knows no such option; {hint}")


def yaml_block(options: Mapping[str, Option]) -> str:
    """The block of a bundle's YAML that declares options: their defaults, under a comment for each group."""
    lines: list[str] = []
    for group, members in by_group(options):
        lines += ([""] if lines else []) + [f"# {group}"]
        lines += [f"{one.name}: {_yaml(one)}" for one in members if one.yaml != ""]
    return "\n".join(lines) + "\n"


def reference_table(options: Mapping[str, Option]) -> str:
    """The options as Markdown, a table a group, for docs/reference/options.md."""
    lines: list[str] = []
    for group, members in by_group(options):
        lines += [f"### {group}", "", "| option | default | |", "|---|---|---|"]
        lines += [f"| `--{one.name}` | {_default(one)} | {one.help}{_range(one)} |" for one in members]
        lines.append("")
    return "\n".join(lines)


def by_group(options: Mapping[str, Option]) -> Iterator[tuple[str, list[Option]]]:
    """Options under their headings, in the order of declaration."""
    for group in dict.fromkeys(one.group for one in options.values()):
        yield group, [one for one in options.values() if one.group == group]


def _yaml(one: Option) -> str:
    return _written(one.default) if one.yaml is None else one.yaml


def _written(value: Any) -> str:
    """A value as YAML has it, of which JSON is a part."""
    return value if isinstance(value, str) else json.dumps(value)


def _default(one: Option) -> str:
    if isinstance(one.default, bool):
        return "on" if one.default else "off"
    return "" if one.default is None else f"`{_written(one.default)}`"


def _range(one: Option) -> str:
    known = one.known()
    if known is not None:
        return " " + ", ".join(f"`{word}`" for word in known if word is not None) + "."
    if one.least is None or one.most is None:
        return ""
    return f" {one.least:g} or more." if one.most >= LARGE else f" {one.least:g} to {one.most:.15g}."


class OneOrMany:
    """Base of options that name one case, or a list of them; ``keep_going`` is about the list."""

    datalist: str | None
    dataset_dir: str | None
    keep_going: bool

    @property
    def many(self) -> bool:
        """Whether the cases are those of a list."""
        return self.datalist is not None or self.dataset_dir is not None

    @property
    def keeps_going(self) -> bool:
        """Whether a case that fails is noted, and the others go on; a single case that fails ends the run."""
        return self.many and self.keep_going

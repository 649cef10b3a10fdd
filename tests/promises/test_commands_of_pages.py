# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every `mededit` command on a page is one that the program takes: its verb, and each of its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from mededit_monai import cli
from mededit_monai.cli.generated import spread_lists

REPOSITORY = Path(__file__).resolve().parents[2]

PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("README.md", "docs/**/*.md", "bundles/*/docs/README.md", "integrations/*/README.md")
    for path in REPOSITORY.glob(pattern)
)

#: Variables in front of a command, and the command.
COMMAND = re.compile(r"^\s*(?:[A-Z_]+=\S+\s+)*(mededit\s.*)$")


def commands(text: str) -> Iterator[str]:
    """The commands in a page's blocks of code, lines joined."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
            if found := COMMAND.match(line):
                yield found[1]


@cache
def program() -> object:
    """The program, as click has it."""
    return typer.main.get_command(cli.app)


def verb_of(words: list[str]) -> tuple[object, list[str]]:
    """The command that the first words name, and the words behind."""
    found = program()
    while hasattr(found, "commands"):
        assert words and words[0] in found.commands, f"no verb '{words[0] if words else ''}'"
        found, words = found.commands[words[0]], words[1:]
    return found, words


@cache
def items_of_configs() -> set[str]:
    """What `mededit train` takes beside its options: items of the bundles' files and of overlays."""
    places = [*REPOSITORY.glob("bundles/*/configs/*.yaml"), *REPOSITORY.glob("configs/*.yaml")]
    return {key for place in places for key in re.findall(r"^(\w+):", place.read_text(encoding="utf-8"), re.MULTILINE)}


def check(command: str) -> None:
    """Parse a command as the program does; whatever is wrong raises."""
    verb, words = verb_of([word for word in shlex.split(command, comments=True)[1:] if word not in ("…", "...")])
    context = verb.context_class(verb, info_name=verb.name, **verb.context_settings)
    _, rest, _ = verb.make_parser(context).parse_args(spread_lists(words, getattr(verb, "lists", ())))
    unknown = {word.partition("=")[0].lstrip("-").partition("#")[0] for word in rest if word.startswith("--")}
    assert not unknown - items_of_configs(), f"no option {unknown - items_of_configs()}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_taken(page):
    wrong = {}
    for command in commands((REPOSITORY / page).read_text(encoding="utf-8")):
        try:
            check(command)
        except Exception as error:  # click's, or of the assertions above
            wrong[command] = f"{type(error).__name__}: {error}"
    assert not wrong


def test_the_pages_have_commands():
    counts = {page: len(list(commands(Path(REPOSITORY, page).read_text(encoding="utf-8")))) for page in PAGES}
    assert counts["README.md"] >= 3 and sum(counts.values()) > 100


@pytest.mark.parametrize(
    "command",
    [
        "mededit edti --scan a",
        "mededit edit --scam a",
        "mededit train --max_epoch 3",
        "mededit study mak -o a",
        "mededit edit --carry a b --seeds 3",
    ],
)
def test_a_mistake_is_found(command):
    with pytest.raises(Exception, match="edti|scam|max_epoch|mak|seeds"):
        check(command)


def test_what_a_command_is():
    text = "```bash\nX=1 mededit edit \\\n    --seed 3  # why\ncd a\n```\nmededit no\n```\nmededit lesion -o x\n```\n"
    assert list(commands(text)) == ["mededit edit --seed 3  # why", "mededit lesion -o x"]
    check("mededit edit --output-dir out --carry a b --seed 3 --effects=0.5")
    check("mededit train --channels 8 16 --optimizer#lr 0.1")

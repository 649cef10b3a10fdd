# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A verb made from declared options: what it hands on, what it says, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mededit_monai.cli.generated import BUNDLE, JSON, add_verb
from mededit_monai.core.options import Option

OPTIONS = [
    Option("scan", "A scan."),
    Option("output_dir", "A folder.", default="out", short="-o"),
    Option("turns", "How often.", int, 3),
    Option("share_of_it", "How much.", float),
    Option("kind", "Which kind.", default="one", choices=("one", "two")),
    Option("amp", "Precision.", choices=(None, "fp16")),
    Option("place", "Where.", int, "all", words=("all",)),
    Option("quick", "Hurry.", bool, False),
    Option("bar", "Show a bar.", bool, True),
    Option("carry", "Files.", several=True),
    BUNDLE,
    JSON,
]

#: What is always handed on: flags, and what no bundle can set.
ALWAYS = {"output_dir": "out", "quick": False, "bar": True, "bundle": "stroke", "json": False}


def run(*words: str) -> tuple[Any, dict[str, Any]]:
    """How a verb of these options ends, and what it was given."""
    given: dict[str, Any] = {}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.callback()(lambda: None)
    add_verb(app, "toy", OPTIONS, given.update, "Do something.", "mededit toy --turns 5")
    return CliRunner().invoke(app, ["toy", *words]), given


def test_what_is_not_given_is_left_to_the_bundle():
    done, given = run()
    assert done.exit_code == 0 and given == ALWAYS


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--scan a.nii --turns 5", {"scan": "a.nii", "turns": 5}),
        ("--turns=3", {"turns": 3}),  # given, though it is the default
        ("--share_of_it 2", {"share_of_it": 2.0}),
        ("--share-of-it 0.5", {"share_of_it": 0.5}),
        ("--kind two --amp fp16", {"kind": "two", "amp": "fp16"}),
        ("--kind three", {"kind": "three"}),  # refused further on, in the words that Python gets
        ("--place 7", {"place": "7"}),
        ("--quick --no_bar --json", {"quick": True, "bar": False, "json": True}),
        ("--no-bar", {"bar": False}),
        ("--carry a.nii", {"carry": ["a.nii"]}),
        ("--carry a.nii b.nii c --turns 5", {"carry": ["a.nii", "b.nii", "c"], "turns": 5}),
        ("--carry=a b --carry b --kind one", {"carry": ["a", "b", "b"], "kind": "one"}),
        ("-o there --bundle tumor", {"output_dir": "there", "bundle": "tumor"}),
    ],
)
def test_what_is_given_is_handed_on(words, given):
    done, found = run(*words.split())
    assert done.exit_code == 0 and found == ALWAYS | given
    assert all(type(found[name]) is type(value) for name, value in given.items())


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("--turn 5", "--turns"),
        ("--turns many", "--turns"),
        ("--quik", "--quick"),
        ("--quick yes", "yes"),
        ("-x 1", "-x"),
        ("--carry a --turns 5 b", "b"),
        ("--carry --turns 5", "5"),
    ],
)
def test_what_is_no_option_or_no_number(words, near):
    done, given = run(*words.split())
    assert done.exit_code == 2 and near in done.output and not given


def test_help_says_words_and_defaults():
    text = " ".join(run("--help")[0].output.split())
    for part in (
        "Do something.",
        "--turns <int> How often. [default: 3]",
        "--share_of_it <float> How much.",
        "--kind <str> Which kind (one, two). [default: one]",
        "--amp <str> Precision (fp16).",
        "--place <str> Where. [default: all]",
        "-o, --output_dir <str> A folder. [default: out]",
        "--quick Hurry.",
        "--bar / --no_bar Show a bar. [default: bar]",
        "--carry <str> ... Files.",
        "Example: mededit toy --turns 5",
    ):
        assert part in text, (part, text)
    assert "None" not in text

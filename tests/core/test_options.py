# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Options declared once: what each kind refuses, and the places that are written from the declaration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import typer
import yaml
from conftest import REPOSITORY

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.core.options import Option, option, options_of, reference_table, refuse_unknown, yaml_block
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.record import METHODS
from studies import write_options

WHOLE = Option("count", "How many.", int, 2, least=1, most=8)
NUMBER = Option("share", "How much.", float, 0.5, least=0, most=1)
WORD = Option("kind", "Which.", str, "one", choices=("one", "two"))
SWITCH = Option("quick", "Whether.", bool, False)
PLACE = Option("place", "Where.", int, "all", words=("auto", "all"))
FILES = Option("files", "Some.", several=True)
PERHAPS = Option("perhaps", "What.", int, None, least=0, most=3)

WHOLE_SENTENCE = "--count: got {!r}, wanted a whole number of at least 1."
NUMBER_SENTENCE = "--share: got {!r}, wanted a number between 0 and 1."
PLACE_SENTENCE = "--place: got {!r}, wanted a whole number or 'auto' or 'all'."


@pytest.mark.parametrize(
    ("one", "good"),
    [
        (WHOLE, (1, 2, 8)),
        (NUMBER, (0, 1, 0.25)),
        (WORD, ("one", "two")),
        (SWITCH, (True, False)),
        (PLACE, ("auto", "all", 0, 17)),
        (PERHAPS, (None, 0, 3)),
        (FILES, (None, ["a"], ("a", "b"))),
        (Option("file", "A file.", str), (None, "a.nii.gz")),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_what_an_option_can_be(one, good):
    for value in good:
        one.check(value)


@pytest.mark.parametrize(
    ("one", "value", "sentence"),
    [
        *((WHOLE, bad, WHOLE_SENTENCE.format(bad)) for bad in (0, -1, 1.5, 2.0, True, "3", None, [1], math.nan)),
        (WHOLE, 9, "--count: got 9, wanted at most 8."),
        *((NUMBER, bad, NUMBER_SENTENCE.format(bad)) for bad in (-0.1, 1.1, math.nan, math.inf, "0.5", True, None)),
        (WORD, "three", "--kind: got 'three', wanted one of one, two."),
        (WORD, "twoo", "--kind: got 'twoo', wanted one of one, two; did you mean 'two'?"),
        (WORD, None, "--kind: got 'None', wanted one of one, two; did you mean 'one'?"),
        *((SWITCH, bad, f"--quick: got '{bad}', wanted one of True, False.") for bad in ("yes", 2, None)),
        *((PLACE, bad, PLACE_SENTENCE.format(bad)) for bad in ("some", 1.5, True)),
        *(
            (FILES, bad, f"--files: got {bad!r}, wanted one or several files; give their paths.")
            for bad in ("a", [], [1], [" "])
        ),
        (PERHAPS, 4, "--perhaps: got 4, wanted at most 3."),
        (PERHAPS, -1, "--perhaps: got -1, wanted a whole number of at least 0."),
    ],
    ids=str,
)
def test_what_an_option_cannot_be(one, value, sentence):
    with pytest.raises(InputError) as caught:
        one.check(value)
    assert str(caught.value) == sentence


def test_choices_that_grow():
    """A function that gives the words is asked anew: plugins add some."""
    words = ["one"]
    one = Option("kind", "Which.", str, "one", choices=lambda: words)
    with pytest.raises(InputError, match="wanted one of one"):
        one.check("two")
    words.append("two")
    one.check("two")
    assert one.known() == ("one", "two") and WHOLE.known() is None


def test_unknown_names():
    refuse_unknown(["steps"], ["steps", "seed"], "an edit")
    with pytest.raises(InputError, match="^--stepz: an edit knows no such option; did you mean steps.$"):
        refuse_unknown(["seed", "stepz"], ["steps", "seed"], "an edit")
    with pytest.raises(InputError, match="^--colour: an edit knows no such option; it takes seed, steps.$"):
        refuse_unknown(["colour"], ["steps", "seed"], "an edit")


# --- from a dataclass ------------------------------------------------------------------------------------------------


@dataclass
class Toy:
    """Two groups, one option that is no option, one whose value is computed in the YAML, one left out of it."""

    speed: float = option(0.5, "How fast.", group="Motion", least=0, most=2)
    turns: int | None = option(None, "How often.", group="Motion", least=1, most=2**40)
    inner: int = 3
    colour: str = option("red", "Of the paint.", group="Looks", choices=("red", "blue"))
    shiny: bool = option(True, "Whether it shines.", group="Looks", yaml="\"$@colour == 'red'\"")
    device: Any = option(None, "Where.", group="Looks", yaml="")
    sizes: tuple[int, ...] = option((1, 2), "Of the parts.", group="Looks")


def test_facts_of_the_fields():
    found = options_of(Toy)
    assert list(found) == ["speed", "turns", "colour", "shiny", "device", "sizes"]
    assert [found[name].kind for name in ("speed", "turns", "colour", "shiny")] == [float, int, str, bool]
    assert (found["turns"].default, found["turns"].least, found["turns"].help) == (None, 1, "How often.")
    assert Toy().speed == 0.5 and Toy(speed=1).speed == 1


def test_the_block_in_yaml():
    text = """\
# Motion
speed: 0.5
turns: null

# Looks
colour: red
shiny: "$@colour == 'red'"
sizes: [1, 2]
"""
    assert yaml_block(options_of(Toy)) == text


def test_the_tables_of_the_reference():
    text = """\
### Motion

| option | default | |
|---|---|---|
| `--speed` | `0.5` | How fast. 0 to 2. |
| `--turns` |  | How often. 1 or more. |

### Looks

| option | default | |
|---|---|---|
| `--colour` | `red` | Of the paint. `red`, `blue`. |
| `--shiny` | on | Whether it shines. |
| `--device` |  | Where. |
| `--sizes` | `[1, 2]` | Of the parts. |
"""
    assert reference_table(options_of(Toy)) == text


# --- the options of an edit, in all their places ---------------------------------------------------------------------

EDIT = options_of(EditOptions)


@pytest.mark.parametrize("path", write_options.written(), ids=lambda path: path.name)
def test_files_are_what_the_declarations_say(path):
    """Run 'python -m studies.write_options' after a change."""
    assert path.read_text(encoding="utf-8") == write_options.written()[path]


def test_the_block_of_the_bundle_says_the_defaults():
    text = (REPOSITORY / "bundles" / "stroke" / "configs" / "inference.yaml").read_text(encoding="utf-8")
    assert yaml_block(EDIT) in text
    config = yaml.safe_load(text)
    for name, one in EDIT.items():
        assert name in config
        assert one.yaml is not None or config[name] == one.default, name


def test_a_stale_file_is_found(tmp_path):
    text = "a: 1\n# Options, from here on: written.\n# More of the comment.\n\nold: 1\n# End of the options.\nb: 2\n"
    wanted = text.replace("old: 1\n", "new: 2\n")
    assert write_options.with_block(text, "new: 2\n") == wanted != text
    assert write_options.with_block(wanted, "new: 2\n") == wanted
    with pytest.raises(SystemExit, match="put them back"):
        write_options.with_block("a: 1\n", "new: 2\n")
    with pytest.raises(SystemExit, match="<!-- EditOptions -->.*put them back"):
        write_options.with_tables("# Options\n")


def test_every_option_is_on_the_command_line_with_its_help():
    parameters = {one.name: one for one in typer.main.get_command(app).commands["edit"].params}
    offered = {name: one for name, one in EDIT.items() if one.verb}
    own = {one.name for method in METHODS.values() for one in method.options}
    assert set(parameters) - {"help"} == {*offered, *own, "bundle", "json", "verbose", "quiet"}
    for name, one in offered.items():
        assert one.help.rstrip(".") in parameters[name].help, name
        for word in one.known() or ():
            assert word is None or str(word) in parameters[name].help, (name, word)
        assert one.short is None or one.short in parameters[name].opts
        assert f"--{name}" in parameters[name].opts


def test_what_the_bundles_set_is_left_to_the_yaml():
    left = {name for name, one in EDIT.items() if not one.verb}
    assert left == {"dataset_dir", "window_mm", "percentile", "channels_last", "compile"}


@pytest.mark.parametrize("declared", write_options.YAML.values(), ids=lambda declared: declared.__name__)
def test_help_is_a_sentence_for_people(declared):
    for one in options_of(declared).values():
        assert one.help.endswith(".") and not one.help.endswith(".."), one.name
        assert one.help == one.help.strip() and "\n" not in one.help and "|" not in one.help and one.group, one.name
        if one.kind in (int, float) and not one.words and one.choices is None:
            assert (one.least is None) == (one.most is None), one.name


@pytest.mark.parametrize("name", EDIT)
def test_every_default_is_a_value_that_the_option_can_have(name):
    EDIT[name].check(EDIT[name].default)
    assert getattr(EditOptions(), name) == EDIT[name].default

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of `mededit study` arrives where it is for."""

from __future__ import annotations

import json

import pytest
import typer

from mededit_monai.cli import make_app
from mededit_monai.reader_study import analyse, make, ratings, rehearse

FACTS = {"page": "p", "key": "k", "study": "s", "images": 1, "items": 1, "raters": ["a"], "synthetic": True}

#: Part → the function behind it, what that gives, and what is on the line.
PARTS = {
    "make": (make, "make_study", FACTS, ["-o", "out"]),
    "rehearse": (rehearse, "rehearse", [], ["--study", "before", "-o", "out"]),
    "check": (ratings, "check_ratings", {"raters": {}, "missing": []}, ["a.json", "--study", "before"]),
    "analyse": (analyse, "analyse", {"summary": "", "means": {}}, ["a.json", "--study", "before", "-o", "out"]),
}

#: Part and option → its value, and the argument of the function that then is what.
WIRES = {
    ("make", "output_dir"): ("other", "output_dir", "other"),
    ("make", "images"): ("i.csv", "images", "i.csv"),
    ("make", "evaluation"): ("e", "evaluation", "e"),
    ("make", "cohort"): ("c", "cohort", "c"),
    ("make", "pairing"): ("paired", "pairing", "paired"),
    ("make", "design"): ("med_ddpm", "design", "med_ddpm"),
    ("make", "per_arm"): ("7", "per_arm", 7),
    ("make", "rater"): ("zoe", "raters", ["zoe"]),
    ("make", "seed"): ("3", "seed", 3),
    ("rehearse", "study"): ("s", "study", "s"),
    ("rehearse", "output_dir"): ("other", "output_dir", "other"),
    ("rehearse", "skill"): ("0.5", "skill", 0.5),
    ("rehearse", "seed"): ("3", "seed", 3),
    ("check", "study"): ("s", "study", "s"),
    ("check", "ratings"): ("b.json", "paths", ["a.json", "b.json"]),
    ("analyse", "study"): ("s", "study", "s"),
    ("analyse", "ratings"): ("b.json", "paths", ["a.json", "b.json"]),
    ("analyse", "output_dir"): ("other", "output_dir", "other"),
    ("analyse", "evaluation"): ("e", "evaluation", "e"),
    ("analyse", "seed"): ("3", "seed", 3),
}


def heard(part: str, words: list[str], monkeypatch) -> dict:
    """What the function behind a part is called with."""
    import inspect

    module, name, answer, line = PARTS[part]
    own = {"--output_dir": "-o"}.get(words[0], words[0]) if words else None
    if own in line and len(words) == 2:  # an option is given once
        line = [*line[: line.index(own)], *line[line.index(own) + 2 :]]
    signature, found = inspect.signature(getattr(module, name)), {}

    def hear(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found.update(bound.arguments)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(module, name, hear)
        make_app()(["study", part, *line, *words], standalone_mode=False)
    return found


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("part", "option"), WIRES)
def test_an_option_arrives(part, option, monkeypatch):
    value, argument, wanted = WIRES[part, option]
    assert heard(part, [], monkeypatch)[argument] != wanted, "arrives without the option, too"
    assert heard(part, [value] if option == "ratings" else [f"--{option}", value], monkeypatch)[argument] == wanted


@pytest.mark.parametrize("part", PARTS)
def test_json(part, monkeypatch, capsys):
    heard(part, ["--json"], monkeypatch)
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_every_option_is_in_the_table():
    parts = typer.main.get_command(make_app()).commands["study"].commands
    names = {(part, p.name) for part, one in parts.items() for p in one.params}
    assert {name for name in names if name[1] not in ("help", "as_json", "verbose", "quiet")} == set(WIRES)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An option is used or refused: given twice, without effect beside another one, or missing; and called by its name."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import typer
from conftest import REPOSITORY
from promises.verbs import mededit  # noqa: F401

from mededit_monai import cli


def verbs() -> dict[str, typer.core.TyperCommand]:
    """Every verb and part of one, by name."""
    found = {}
    for name, command in typer.main.get_command(cli.app).commands.items():
        parts = getattr(command, "commands", None)
        found |= {f"{name} {part}": one for part, one in parts.items()} if parts else {name: command}
    return found


VERBS = verbs()


def values(option: typer.core.TyperOption) -> list[str]:
    return [] if option.is_flag else ["1"] * option.nargs


@pytest.mark.parametrize("name", list(VERBS))
def test_an_option_given_twice_is_refused(name, mededit, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    for option in VERBS[name].params:
        if option.param_type_name != "option" or option.multiple or option.name == "help":
            continue
        ways = [*option.opts, *option.secondary_opts] if option.is_flag else [option.opts[0], option.opts[-1]]
        words = [word for way in (ways[0], ways[-1]) for word in (way, *values(option))]
        if ways[0] == ways[-1] and option.is_flag:
            continue  # says the same both times
        long = next(way for way in option.opts if way.startswith("--"))
        done = mededit(*name.split(), *words)
        assert done.refused(f"{long}: was given twice; give it once."), (words, done.said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words, wanted",
    [
        ("--seed 1 --seed=1", "--seed"),
        ("--output-dir a -o b", "--output_dir"),
        ("-oa -ob", "--output_dir"),
        ("--progress --no-progress", "--progress"),
    ],
)
def test_in_whatever_spelling(words, wanted, mededit):  # noqa: F811
    assert mededit("edit", *words.split()).refused(f"{wanted}: was given twice")


@pytest.mark.parametrize(
    "words, wanted",
    [
        ("--overwrite --overwrite", {"overwrite": True}),
        ("--no_progress --no-progress", {"progress": False}),
        ("--carry a --carry b c", {"carry": ["a", "b", "c"]}),
        ("--lesion --seed --seed 3", {"lesion": "--seed", "seed": 3}),  # a value that looks like an option
    ],
)
def test_what_may_be_given_twice(words, wanted, mededit, monkeypatch):  # noqa: F811
    asked = {}
    monkeypatch.setattr("mededit_monai.workflows.edit", lambda **given: asked.update(given) or [])
    done = mededit("edit", *words.split())
    assert done.code == 0 and asked.items() >= wanted.items(), done.err


@pytest.mark.parametrize("more", [(), ("-o", "X")], ids=["nothing", "-o"])
@pytest.mark.parametrize("name", [one for one in VERBS if one not in ("train", "info", "doctor", "simulate")])
def test_without_what_it_needs_a_verb_says_so(name, more, mededit, tmp_path, monkeypatch):  # noqa: F811
    """Of the verbs above each runs with nothing given."""
    monkeypatch.chdir(tmp_path)
    if more and not any("-o" in option.opts for option in VERBS[name].params):
        more = ()
    done = mededit(*name.split(), *more)
    assert done.code == 2 and "a fault" not in done.said and "Traceback" not in done.said, done.said
    assert re.search(r"is missing; give|got neither; give|Missing (option|argument) '\S+'", done.err), done.err
    assert not list(tmp_path.iterdir())


SHAPE = "lesion --scan a.nii -o b.nii --shape sphere --centre 1 2 3 --radius 4"


@pytest.mark.parametrize(
    "words, said",
    [
        ("simulate --cases 5 --counts 2 1 2 -o out", "--cases: got 5, but it is the sum of --counts"),
        (f"{SHAPE} --seed 3", "--seed: got 3, but it applies to what is drawn or taken at random"),
        ("lesion --scan a.nii -o b.nii --mask c.nii --seed 0", "--seed: got 0, but it applies to"),
        ("info result --bundle tumor", "--bundle: got 'tumor', but it says whose edits a scan or mask would go to"),
    ],
)
def test_an_option_without_effect_is_refused(words, said, mededit, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    Path("result").mkdir()
    Path("result/provenance.json").write_text(json.dumps({"options": {}}))
    assert mededit(*words.split()).refused(said, "leave it out")
    assert [place.name for place in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize(
    "words, said",
    [
        ("study make --evaluation e --rater a/b -o out", "--rater: has the rater 'a/b'"),
        ("recovery --scans none -o out", "--scans: none not found"),
        ("recovery --scans . --lesions lft -o ../out", "--lesions: 'lft' in 'lft' is not understood"),
    ],
)
def test_a_sentence_names_an_option_of_its_verb(words, said, mededit, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    assert mededit(*words.split()).refused(said) and not list(tmp_path.iterdir())


#: Names that Python callers alone can get wrong.
OF_PYTHON = {"source"}

#: What is of one verb alone.
OF_A_VERB = {
    "bench": ("evaluation/bench.py", "evaluation/bench_plan.py"),
    "study": ("reader_study",),
    "recovery": ("recovery",),
    "downstream": ("downstream",),
    "export": ("sharing/export.py",),
    "simulate": ("simulation/plan.py", "simulation/simulate.py", "simulation/splits.py"),
    "dataset": ("datasets/recipe.py", "datasets/pairing.py", "datasets/cut.py", "datasets/prepare_dataset.py"),
    **{name: (f"cli/{name}.py",) for name in ("info", "view", "lesion", "judge", "evaluate")},
}


def named(place: Path) -> set[str]:
    """Options that the sentences of a module's errors name, without those in quotations of whole commands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(place.read_text())):
        if isinstance(node, ast.Raise):
            texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            for text in filter(lambda one: isinstance(one, str), texts):
                alone = re.sub(r"'(?:python|mededit) [^']*'|mededit \w+ \w+ --judge nnunet", "", text)
                found |= set(re.findall(r"(?<![\w-])--([a-z]\w*)", alone))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "").startswith("require_") and node.args:
            name = node.args[0]
            if node.func.id in ("require_choice", "require_whole", "require_number", "require_part"):
                found |= {name.value} if isinstance(name, ast.Constant) else set()
    return found


@pytest.mark.parametrize("verb", list(OF_A_VERB))
def test_sentences_name_options_that_the_verb_has(verb):
    own = {
        word.lstrip("-").replace("-", "_")
        for name, command in VERBS.items()
        if name.split()[0] == verb
        for option in command.params
        for word in (*option.opts, *option.secondary_opts)
    }
    package = REPOSITORY / "mededit_monai"
    places = [p for name in OF_A_VERB[verb] for p in (package / name, *(package / name).rglob("*.py")) if p.is_file()]
    strange = {place.name: odd for place in places if (odd := named(place) - own - OF_PYTHON)}
    assert not strange
